import JSONText
import Reactor
import Testing

@testable import Gateway
@testable import Translation

@Suite struct SubscriptionBookTests {
    private func uri(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func filter(tools: Bool = false, _ uris: String...) -> SubscriptionFilter {
        var filter = SubscriptionFilter()
        filter.toolsListChanged = tools
        filter.resources = uris.map { uri($0) }
        return filter
    }

    @Test func everyoneHearsWhatTheyAskedFor() {
        var book = SubscriptionBook()
        book.addListener(1, to: filter(tools: true, "a:/x"))
        book.addListener(2, to: filter("a:/x", "a:/y"))
        #expect(book.subscribers(to: .toolsListChanged) == [1])
        #expect(book.subscribers(to: .promptsListChanged).isEmpty)
        #expect(book.subscribers(to: .resourceUpdated(uri("a:/x"))) == [1, 2])
        #expect(book.subscribers(to: .resourceUpdated(uri("a:/y"))) == [2])
        #expect(Set(book.notices) == [.toolsListChanged, .resourceUpdated(uri("a:/x")), .resourceUpdated(uri("a:/y"))])
        book.removeListener(2, from: uri("a:/y"))
        #expect(book.subscribers(to: .resourceUpdated(uri("a:/y"))).isEmpty)
        book.removeListener(1, from: filter(tools: true, "a:/x"))
        #expect(book.subscribers(to: .resourceUpdated(uri("a:/x"))) == [2])
        book.removeListener(2, from: filter("a:/x"))
        #expect(book.notices.isEmpty)
    }

    @Test(arguments: [
        ("a:/x", "a:/x/y", true), ("a:/x", "a:/x/y/z", true), ("a:/x/", "a:/x/y", true), ("a:/x", "a:/xy", false),
        ("a:/x/", "a:/x", false), ("a:/x/y", "a:/x", false), ("a:/x", "a:/x/", true), ("a:", "a:/x", true),
    ])
    func aSubResourceIsBelow(listenedTo: String, updated: String, isBelow: Bool) {
        var book = SubscriptionBook()
        book.addListener(1, to: filter(listenedTo))
        #expect(book.subscribers(to: .resourceUpdated(uri(updated))).isEmpty != isBelow)
        book.removeListener(1, from: filter(listenedTo))
        #expect(book.isEmpty && book.subscribers(to: .resourceUpdated(uri(updated))).isEmpty)
    }

    /// Who hears of an update by the rule alone: the URI itself, and what ends at one of its slashes, before or behind it.
    private func listeners(to updated: [UInt8], among listening: [Int: [[UInt8]]]) -> Set<Int> {
        let slash = UInt8(ascii: "/")
        return Set(
            listening.filter { _, uris in
                uris.contains { uri in
                    uri == updated
                        || updated.count > uri.count && updated.starts(with: uri) && !uri.isEmpty
                            && (updated[uri.count] == slash || uri.last == slash)
                }
            }.keys)
    }

    @Test func randomURIsAreFoundAsTheRuleSays() {
        var random = SystemRandomNumberGenerator()
        func some() -> [UInt8] {
            (0..<Int.random(in: 1...7, using: &random)).map { _ in Array("a/b".utf8).randomElement(using: &random) ?? 0
            }
        }
        for _ in 0..<300 {
            var book = SubscriptionBook()
            var listening: [Int: [[UInt8]]] = [:]
            for id in 0..<Int.random(in: 0...12, using: &random) {
                var filter = SubscriptionFilter()
                filter.resources = Array(Set((0..<Int.random(in: 1...6, using: &random)).map { _ in some() }))
                book.addListener(id, to: filter)
                listening[id] = filter.resources
            }
            for id in listening.keys where Bool.random(using: &random) {
                if let uri = listening[id]?.popLast() { book.removeListener(id, from: uri) }
            }
            for _ in 0..<30 {
                let updated = some()
                #expect(book.subscribers(to: .resourceUpdated(updated)) == listeners(to: updated, among: listening))
            }
            for (id, uris) in listening {
                var filter = SubscriptionFilter()
                filter.resources = uris
                book.removeListener(id, from: filter)
            }
            #expect(book.isEmpty && book.notices.isEmpty)
        }
    }

    /// What many slashes cost grows as the URI does, and not as its square.
    @Test func manySlashesTakeNoTimeToSpeakOf() {
        var book = SubscriptionBook()
        book.addListener(1, to: filter("a:/", "b:/", String(repeating: "/", count: 8192)))
        func time(_ size: Int) -> Duration {
            let notice = ChangeNotice.resourceUpdated([UInt8](repeating: UInt8(ascii: "/"), count: size))
            return (0..<5).map { _ in ContinuousClock().measure { _ = book.subscribers(to: notice) } }.min() ?? .zero
        }
        #expect(time(8000) < time(500) * 100)
    }
}

@Suite struct ChangeNoticeWindowTests {
    private let start = Instant.now

    private func at(_ milliseconds: Int) -> Instant { start + .milliseconds(milliseconds) }

    @Test func theFirstIsToldAtOnceAndTheRestOnce() {
        var window = ChangeNoticeWindow()
        let told = [0, 10, 99].map { window.admitsNotice(.toolsListChanged, at: at($0)) }
        #expect(told == [true, false, false])
        let other = window.admitsNotice(.promptsListChanged, at: at(50))
        #expect(other)
        #expect(window.nextEnd == at(100))
        // What is told at the end of one opens another.
        let atTheEnd = window.closeWindows(at: at(100))
        let again = window.admitsNotice(.toolsListChanged, at: at(150))
        let ends = [200, 300].map { window.closeWindows(at: at($0)) }
        #expect(atTheEnd == [.toolsListChanged])
        #expect(!again)
        #expect(ends == [[.toolsListChanged], []])
        #expect(window.nextEnd == nil)
    }

    @Test func differentResourcesAreDifferentNotices() {
        var window = ChangeNoticeWindow()
        let told = [[1], [2], [1]].map { window.admitsNotice(.resourceUpdated($0), at: start) }
        #expect(told == [true, true, false])
    }

    @Test func whatIsTooMuchIsToldAsItComes() {
        var window = ChangeNoticeWindow()
        let notices = (0..<10_000).map { ChangeNotice.resourceUpdated(Array("\($0)".utf8)) }
        let told = notices.count { window.admitsNotice($0, at: start) }
        #expect(told == 10_000)
        let last = window.admitsNotice(notices[9999], at: at(1))
        #expect(last)
        let ended = window.closeWindows(at: at(100))
        #expect(ended.isEmpty)
    }
}

@Suite struct ResourceSubscriptionsTests {
    private let start = Instant.now
    private let uri: [UInt8] = [1]

    @Test func theServerIsAskedOnce() {
        var resources = ResourceSubscriptions()
        let first = (1...2).map { resources.joinResource(uri, $0) }
        #expect(first == [.ask, .wait])
        #expect(resources.isPending(uri, for: 1) && resources.isPending(uri, for: 2))
        let ended = resources.settleSubscription(uri, .agreed)
        let then = resources.joinResource(uri, 3)
        #expect(ended == [] && then == .honoured)
        #expect((1...3).allSatisfy { resources.isHonoured(uri, for: $0) })
    }

    @Test(arguments: [ResourceSubscriptions.Answer.refused, .none])
    func aRefusalIsNotForEver(_ answer: ResourceSubscriptions.Answer) {
        var resources = ResourceSubscriptions()
        let first = (1...2).map { resources.joinResource(uri, $0) }
        let ended = resources.settleSubscription(uri, answer)
        #expect(first == [.ask, .wait] && ended == [])
        #expect(!resources.isHonoured(uri, for: 1) && !resources.isPending(uri, for: 2) && resources.isEmpty)
        let then = resources.joinResource(uri, 3)
        #expect(then == .ask)
    }

    /// Who was refused has not joined those who ask again before he has looked.
    @Test func whoWasRefusedIsNotAmongThoseWhoAskAgain() {
        var resources = ResourceSubscriptions()
        let joined = [1, 2].map { resources.joinResource(uri, $0) }
        let ended = resources.settleSubscription(uri, .refused)
        let again = resources.joinResource(uri, 3)
        #expect(joined == [.ask, .wait] && ended == [] && again == .ask)
        #expect(!resources.isPending(uri, for: 2) && resources.isPending(uri, for: 3))
        let endedThen = resources.settleSubscription(uri, .agreed)
        #expect(endedThen == [] && !resources.isHonoured(uri, for: 2) && resources.isHonoured(uri, for: 3))
        for listener in [2, 3, 3, 2] { resources.leaveResource(uri, listener, at: start) }
        let expired = resources.takeExpired(at: start + ResourceSubscriptions.linger)
        #expect(expired == [uri] && resources.isEmpty)
    }

    @Test func whatOutlivesItsListenersEndsWithItsSession() {
        var resources = ResourceSubscriptions()
        let other = Array("test:other".utf8)
        for (uri, listener) in [(uri, 1), (other, 2)] {
            _ = resources.joinResource(uri, listener)
            _ = resources.settleSubscription(uri, .agreed)
        }
        resources.leaveResource(uri, 1, at: start)
        resources.sessionEnded()
        #expect(resources.unasked == [other] && resources.nextExpiry == nil)
        let back = resources.joinResource(uri, 3)
        #expect(back == .ask)
        // The server is being asked: the answer comes of the next session, if not of this one.
        resources.leaveResource(uri, 3, at: start)
        resources.sessionEnded()
        _ = resources.settleSubscription(uri, .agreed)
        let again = resources.joinResource(uri, 5)
        #expect(again == .honoured)
    }

    /// The first who comes asks the new session, or else who renews it.
    @Test(arguments: [false, true]) func aNewSessionIsAskedOnceForEach(_ isAskedByOneWhoJoins: Bool) {
        var resources = ResourceSubscriptions()
        _ = resources.joinResource(uri, 1)
        _ = resources.settleSubscription(uri, .agreed)
        resources.sessionEnded()
        // Who was agreed to goes on, as what it is told.
        #expect(resources.isHonoured(uri, for: 1) && resources.unasked == [uri])
        let begins = isAskedByOneWhoJoins ? resources.joinResource(uri, 2) == .ask : resources.beginAsking(uri)
        let beginsTwice = resources.beginAsking(uri)
        let then = resources.joinResource(uri, 3)
        #expect(begins && !beginsTwice && then == .wait && resources.unasked.isEmpty)
        let ended = resources.settleSubscription(uri, .agreed)
        #expect(ended == [] && resources.isHonoured(uri, for: 1) && resources.isHonoured(uri, for: 3))
    }

    @Test func aNewSessionThatRefusesEndsWhatWasAgreedTo() {
        var resources = ResourceSubscriptions()
        for listener in 1...3 { _ = resources.joinResource(uri, listener) }
        _ = resources.settleSubscription(uri, .agreed)
        resources.sessionEnded()
        resources.leaveResource(uri, 1, at: start)
        let joined = resources.joinResource(uri, 4)
        let ended = resources.settleSubscription(uri, .refused)
        #expect(joined == .ask && ended == [2, 3] && resources.isEmpty)
    }

    @Test func withoutAnAnswerTheNextSessionIsAsked() {
        var resources = ResourceSubscriptions()
        _ = resources.joinResource(uri, 1)
        _ = resources.settleSubscription(uri, .agreed)
        resources.sessionEnded()
        let joined = resources.joinResource(uri, 2)
        let ended = resources.settleSubscription(uri, .none)
        #expect(joined == .ask && ended == [] && resources.unasked == [uri])
        #expect(resources.isHonoured(uri, for: 1) && !resources.isHonoured(uri, for: 2))
        // With its last listener it has gone.
        resources.leaveResource(uri, 1, at: start)
        #expect(resources.isEmpty)
    }

    @Test func itOutlivesItsLastListenerALittle() {
        var resources = ResourceSubscriptions()
        _ = resources.joinResource(uri, 1)
        _ = resources.settleSubscription(uri, .agreed)
        _ = resources.joinResource(uri, 2)
        resources.leaveResource(uri, 1, at: start)
        #expect(resources.nextExpiry == nil)
        resources.leaveResource(uri, 2, at: start)
        #expect(resources.nextExpiry == start + ResourceSubscriptions.linger)
        let early = resources.takeExpired(at: start + .seconds(4))
        let back = resources.joinResource(uri, 3)
        #expect(early.isEmpty && back == .honoured && resources.nextExpiry == nil)
        resources.leaveResource(uri, 3, at: start + .seconds(6))
        let expired = resources.takeExpired(at: start + .seconds(11))
        #expect(expired == [uri] && resources.isEmpty)
    }
}

@Suite struct SubscriptionFilterTests {
    private func filter(_ text: String) throws -> SubscriptionFilter {
        let document = try JSONDocument(Array(text.utf8))
        return try SubscriptionFilter(document.root, in: document, maxResources: 3)
    }

    @Test func isReadAndWritten() throws {
        let text = #"{"notifications":{"toolsListChanged":true,"x":1,"resourceSubscriptions":["a:\/é","b:","b:"]}}"#
        let filter = try filter(text)
        let ack = SubscriptionText.acknowledgment(of: filter, id: Array("7".utf8))
        #expect(
            String(decoding: ack, as: UTF8.self)
                == #"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":"#
                + #"{"io.modelcontextprotocol/subscriptionId":7},"notifications":"#
                + #"{"toolsListChanged":true,"resourceSubscriptions":["a:/é","b:"]}}}"#)
        #expect(try self.filter(#"{"notifications":{}}"#).isEmpty)
    }

    @Test(arguments: [
        "{}", #"{"notifications":1}"#, #"{"notifications":{"toolsListChanged":null}}"#,
        #"{"notifications":{"resourceSubscriptions":{}}}"#, #"{"notifications":{"resourceSubscriptions":["a",1]}}"#,
        #"{"notifications":{"resourceSubscriptions":["a","b","c","d"]}}"#,
        #"{"notifications":{"toolsListChanged":true,"toolsListChanged":false}}"#,
    ])
    func isRefused(text: String) {
        #expect(throws: SubscriptionFilter.Flaw.self) { try filter(text) }
    }

    @Test func messagesCarryTheIdAsItWasSpelled() {
        let id = Array(#""a\u0062""#.utf8)
        func string(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
        #expect(
            string(ChangeNotice.resourceUpdated(Array("a:\"".utf8)).text.notification(to: id))
                == #"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:\"","_meta":"#
                + #"{"io.modelcontextprotocol/subscriptionId":"a\u0062"}}}"#)
        #expect(
            string(ChangeNotice.toolsListChanged.text.notification(to: id))
                == #"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":"#
                + #"{"io.modelcontextprotocol/subscriptionId":"a\u0062"}}}"#)
        #expect(
            string(SubscriptionText.completion(id: id, serverInfo: Array(#"{"name":"s"}"#.utf8)))
                == #"{"jsonrpc":"2.0","id":"a\u0062","result":{"resultType":"complete","_meta":"#
                + #"{"io.modelcontextprotocol/subscriptionId":"a\u0062","#
                + #""io.modelcontextprotocol/serverInfo":{"name":"s"}}}}"#)
    }
}
