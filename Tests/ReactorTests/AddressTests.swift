import TestSupport
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(1))) struct AddressTests {
    @Test(
        arguments: [
            ("127.0.0.1", "127.0.0.1:80", true), ("127.9.9.9", "127.9.9.9:80", true), ("0.0.0.0", "0.0.0.0:80", false),
            ("10.0.0.1", "10.0.0.1:80", false), ("::1", "[::1]:80", true), ("::", "[::]:80", false),
            ("2001:db8::1", "[2001:db8::1]:80", false), ("localhost", "127.0.0.1:80", true),
            ("::ffff:127.0.0.1", "[::ffff:127.0.0.1]:80", false),
        ])
    func aNumericHostIsAnAddress(host: String, description: String, isLoopback: Bool) throws {
        let address = try #require(SocketAddress(host: host, port: 80))
        #expect(address.description == description)
        #expect(address.isLoopback == isLoopback)
        #expect(address.port == 80)
    }

    @Test(arguments: [
        "", "example.com", "[::1]", "127.1", "256.0.0.1", "127.0.0.1:80", "1.2.3.4.5", "::g", "LOCALHOST",
    ])
    func otherHostsAreNone(host: String) {
        #expect(SocketAddress(host: host, port: 80) == nil)
    }

    @Test(arguments: [0, 1, 80, 8808, 65535] as [UInt16])
    func portsAreKept(port: UInt16) throws {
        #expect(try #require(SocketAddress(host: "127.0.0.1", port: port)).port == port)
    }

    @Test func thisMachineNeedsNoNameServer() async throws {
        let found = try await withLoop { loop in
            try await Resolver(host: "localhost", port: 8808, on: loop).resolveName(until: loop.now + .seconds(5)).map(
                \.description)
        }
        #expect(found == ["127.0.0.1:8808", "[::1]:8808"])
    }

    @Test func aNumberIsItsOwnAddress() async throws {
        let found = try await withLoop { loop in
            try await Resolver(host: "10.1.2.3", port: 1, on: loop).resolveName(until: loop.now + .seconds(5)).map(
                \.description)
        }
        #expect(found == ["10.1.2.3:1"])
    }

    /// However long the name servers take, and whether there are any.
    @Test func aLookUpEndsInItsTime() async throws {
        try await withLoop { loop in
            let resolver = Resolver(host: "slow.invalid", port: 1, on: loop)
            await #expect(throws: SystemError.self) { try await resolver.resolveName(until: loop.now) }
        }
    }

    /// Reserved for names that do not exist (RFC 6761 §6.4); asked for twice at once, and again.
    @Test func aBadNameIsAnErrorThatNamesIt() async throws {
        try await withLoop { loop in
            let resolver = Resolver(host: "no-such-host.invalid", port: 1, on: loop)
            let wakeup = Wakeup()
            var failures: [String] = []
            for _ in 0..<2 {
                loop.spawn {
                    do throws(SystemError) {
                        _ = try await resolver.resolveName(until: loop.now + .seconds(30))
                    } catch {
                        failures.append(error.description)
                    }
                    wakeup.signal()
                }
            }
            try await eventually("two failures", on: loop, wakeup, within: .seconds(40)) { failures.count == 2 }
            #expect(failures.allSatisfy { $0.contains("no-such-host.invalid") })
        }
    }
}
