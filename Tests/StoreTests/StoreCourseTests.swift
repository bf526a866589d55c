import Reactor
import Testing

@testable import Store

/// The course of the connection, with a clock that is moved by hand.
@Suite struct StoreCourseTests {
    static func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    static func wire(_ words: String...) -> String {
        "*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
    }

    /// A course with what a test does to it.
    private struct Play {
        var course: StoreCourse
        var now = StoreCourseTests.at(0)

        init(password: String? = nil, database: Int = 0) {
            course = StoreCourse(password: password, database: database, at: now)
        }

        mutating func pass(_ milliseconds: Int64) -> [StoreCourse.Action] {
            now = now + .milliseconds(milliseconds)
            return course.timePassed(at: now)
        }

        mutating func receive(_ text: String) -> [StoreCourse.Action] {
            let bytes = Array(text.utf8)
            return course.received(bytes.span, at: now)
        }

        mutating func send(_ commands: StoreCommand...) throws -> (id: Int, actions: [StoreCourse.Action]) {
            try course.sendBatch(commands, at: now)
        }

        /// Connects, and has the greeting answered.
        mutating func connect() {
            #expect(pass(0) == [.connect])
            _ = course.connected(at: now)
            #expect(receive("+PONG\r\n") == [.becameReady])
        }
    }

    private static let get = StoreCommand("GET", Array("k".utf8))

    @Test func aConnectionGreetsAndThenTakesCommands() throws {
        var play = Play(password: "secret", database: 3)
        #expect(play.pass(0) == [.connect])
        #expect(play.pass(0) == [])
        let greeting = Self.wire("AUTH", "secret") + Self.wire("SELECT", "3") + Self.wire("PING")
        #expect(play.course.connected(at: play.now) == [.send(Array(greeting.utf8))])
        #expect(throws: StoreFailure.unreachable("there is no connection to the store")) { try play.send(Self.get) }
        #expect(play.receive("+OK\r\n+O") == [])
        #expect(play.receive("K\r\n+PONG\r\n") == [.becameReady])
        #expect(!play.course.counts.isReachable)
        let (id, actions) = try play.send(Self.get, Self.get)
        #expect(actions == [.send(Array((Self.wire("GET", "k") + Self.wire("GET", "k")).utf8))])
        #expect(play.receive("$1\r\nv\r\n") == [])
        #expect(play.receive("$-1\r\n") == [.cameUp, .finish(id, [.text([0x76]), .nothing])])
        #expect(play.course.counts.isReachable && play.course.counts.commands == 2)
    }

    @Test func batchesAreAnsweredInTheirOrder() throws {
        var play = Play()
        play.connect()
        let (first, _) = try play.send(Self.get)
        let (second, _) = try play.send(Self.get)
        #expect(
            play.receive(":1\r\n*2\r\n$1\r\na\r\n$0\r\n\r\n")
                == [.cameUp, .finish(first, [.integer(1)]), .finish(second, [.texts([[0x61], []])])])
    }

    @Test func pausesGrowAndOneLineTellsOfIt() {
        var play = Play()
        var pauses: [Int64] = []
        var news = 0
        for _ in 0..<9 {
            #expect(play.course.timePassed(at: play.now) == [.connect])
            let actions = play.course.disconnected(.unreachable("x"), at: play.now)
            news += actions.count { $0 == .wentDown(.unreachable("x")) }
            guard case .waiting(let until) = play.course.state else { return #expect(Bool(false), "it does not wait") }
            pauses.append((until - play.now).nanoseconds / 1_000_000)
            play.now = until
        }
        #expect(pauses == [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000] && news == 1)
        #expect(play.course.counts.failures == [.connect: 9])
    }

    @Test func aStoreThatComesBackIsToldOnceAndPausesBeginAnew() throws {
        var play = Play()
        play.connect()
        let (id, _) = try play.send(Self.get)
        #expect(
            play.course.disconnected(.disconnected, at: play.now)
                == [.fail(id, .disconnected), .disconnect, .wentDown(.disconnected)])
        #expect(play.pass(99) == [])
        #expect(play.pass(1) == [.connect])
        _ = play.course.disconnected(.unreachable("x"), at: play.now)
        #expect(play.pass(200) == [.connect])
        _ = play.course.connected(at: play.now)
        _ = play.receive("+PONG\r\n")
        let (next, _) = try play.send(Self.get)
        #expect(play.receive("+OK\r\n") == [.cameUp, .finish(next, [.status(Array("OK".utf8))])])
        _ = play.course.disconnected(.disconnected, at: play.now)
        #expect(play.course.state == .waiting(until: play.now + .milliseconds(100)))
    }

    @Test func aCommandThatIsNotAnsweredInTimeEndsTheConnection() throws {
        var play = Play()
        play.connect()
        let (id, _) = try play.send(Self.get)
        #expect(play.pass(1999) == [])
        let (other, _) = try play.send(Self.get)
        #expect(
            play.pass(1)
                == [.fail(id, .timedOut), .fail(other, .timedOut), .disconnect, .wentDown(.timedOut)])
        #expect(play.receive("+OK\r\n") == [])
    }

    @Test func aGreetingThatIsNotAnsweredEndsTheConnection() {
        var play = Play()
        _ = play.pass(0)
        _ = play.course.connected(at: play.now)
        #expect(play.pass(2000).last == .wentDown(.timedOut))
    }

    /// Up and down in turns would fill the log.
    @Test func aStoreThatGreetsAndRefusesIsNeverUp() throws {
        var play = Play()
        var news: [StoreCourse.Action] = []
        for _ in 0..<5 {
            news += play.pass(10_000)
            _ = play.course.connected(at: play.now)
            _ = play.receive("+PONG\r\n")
            _ = try play.send(Self.get)
            news += play.receive("-READONLY You can't write against a read only replica.\r\n")
        }
        #expect(news.count { $0 == .wentDown(.refused("READONLY")) } == 1 && !news.contains(.cameUp))
        #expect(play.course.counts.failures == [.refused: 5])
    }

    @Test(arguments: [
        ("-WRONGPASS invalid username-password pair\r\n", "AUTH, WRONGPASS"),
        ("-secret is what you said\r\n", "AUTH, an error"),
        ("+OK\r\n-NOAUTH x\r\n", "PING, NOAUTH"),
    ])
    func anErrorOfTheGreetingNamesItsCommandAndNoSecret(answer: String, words: String) {
        var play = Play(password: "secret")
        _ = play.pass(0)
        _ = play.course.connected(at: play.now)
        #expect(play.receive(answer).last == .wentDown(.refused(words)))
    }

    @Test(arguments: [
        "HTTP/1.1 400 Bad Request\r\n", "\0\0\0\0", "*1\r\n*1\r\n:1\r\n", "*100000\r\n", "*2147483647\r\n", "*-7\r\n",
        "$-9\r\n", "$99999999999999999999\r\n", "*2\r\n:1\r\n:2\r\n", "+OK\r\n+nobody asked\r\n", ":x\r\n",
        "%1\r\n+a\r\n+b\r\n",
        "*4096\r\n*4096\r\n",
    ])
    func nonsenseEndsTheConnection(answer: String) throws {
        var play = Play()
        play.connect()
        _ = try play.send(Self.get)
        let actions = play.receive(answer)
        #expect(actions.suffix(2) == [.disconnect, .wentDown(.malformed)])
        #expect(play.receive("+OK\r\n") == [])
    }

    @Test func anEndlessAnswerEndsTheConnection() throws {
        for start in ["$1000000000\r\n", "+", "*2\r\n$3\r\nabc\r\n$900000\r\n"] {
            var play = Play()
            play.connect()
            _ = try play.send(Self.get)
            #expect(play.receive(start) == [])
            let part = String(repeating: "x", count: 4096)
            var actions: [StoreCourse.Action] = []
            var sent = start.utf8.count
            while actions.isEmpty, sent < 10_000_000 {
                actions = play.receive(part)
                sent += part.utf8.count
            }
            #expect(actions.last == .wentDown(.tooLarge) && sent <= StoreLimits.maxAnswer + 4096)
        }
    }

    /// One that arrives in many parts, and the largest that is taken.
    @Test func largeAnswersAreTaken() throws {
        var play = Play()
        play.connect()
        for _ in 0..<5 {
            let (id, _) = try play.send(Self.get)
            let text = String(repeating: "x", count: StoreLimits.maxAnswer - 100)
            let answer = Array("$\(text.utf8.count)\r\n\(text)\r\n".utf8)
            var actions: [StoreCourse.Action] = []
            for start in stride(from: 0, to: answer.count, by: 10_000) {
                let part = Array(answer[start..<min(start + 10_000, answer.count)])
                actions += play.course.received(part.span, at: play.now)
            }
            #expect(actions.last == .finish(id, [.text(Array(text.utf8))]))
        }
    }

    @Test func anAnswerMayComeByteByByte() throws {
        var play = Play()
        play.connect()
        let (id, _) = try play.send(Self.get)
        let actions = "*2\r\n$1\r\na\r\n$2\r\nbc\r\n".unicodeScalars.flatMap { play.receive(String($0)) }
        #expect(actions == [.cameUp, .finish(id, [.texts([[0x61], [0x62, 0x63]])])])
    }

    @Test func whatWaitsIsBounded() throws {
        var play = Play()
        play.connect()
        for _ in 0..<StoreLimits.maxCommands { _ = try play.send(Self.get) }
        #expect(throws: StoreFailure.full) { try play.send(Self.get) }
        #expect(play.course.state == .ready)
        _ = play.receive("+OK\r\n")
        _ = try play.send(Self.get)
        let large = StoreCommand("SET", [UInt8](repeating: 0, count: StoreLimits.maxCommand + 1))
        _ = play.receive("+OK\r\n+OK\r\n")
        #expect(throws: StoreFailure.full) { try play.send(large) }
    }

    @Test func aClosedOneStaysClosed() throws {
        var play = Play()
        play.connect()
        let (id, _) = try play.send(Self.get)
        #expect(play.course.close() == [.fail(id, .disconnected), .disconnect])
        #expect(play.pass(60_000) == [] && play.receive("+OK\r\n") == [] && play.course.connected(at: play.now) == [])
        #expect(play.course.disconnected(.disconnected, at: play.now) == [])
    }

    @Test func commandsKeepEveryByte() {
        let all = [UInt8](0...255)
        let text = StoreCommand("SET", [], all).wireText
        #expect(text == Array("*3\r\n$3\r\nSET\r\n$0\r\n\r\n$256\r\n".utf8) + all + Array("\r\n".utf8))
    }

    /// Bytes by chance, with what the protocol is made of: nothing but an action may come of them.
    @Test func anythingAtAllIsSurvived() throws {
        let alphabet = Array("+-:$*0123456789\r\n\r\nxOK".utf8)
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<3000 {
            var play = Play()
            play.connect()
            _ = try play.send(Self.get)
            for _ in 0..<4 {
                let bytes = (0..<Int.random(in: 1...60, using: &generator)).map { _ in
                    alphabet.randomElement(using: &generator) ?? 0
                }
                _ = play.course.received(bytes.span, at: play.now)
            }
        }
    }
}
