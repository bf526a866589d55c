import Foundation
import TestSupport
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(1))) struct UnixSocketTests {
    /// A directory of its own, which is removed with what is in it.
    private final class Directory: Sendable {
        let path = "/tmp/remora-unix-\(UUID().uuidString.prefix(8))"

        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        var socket: SocketAddress { SocketAddress(unixPath: "\(path)/x.sock") }

        var files: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] }
    }

    private static func listener(on loop: Loop, _ address: SocketAddress) throws -> Listener {
        try Listener(on: loop, address: address, maxConnections: 10, shared: false)
    }

    @Test func anAddressSaysWhatItIs() {
        let address = SocketAddress(unixPath: "/run/x.sock")
        #expect(address.description == "unix:/run/x.sock")
        #expect(address.isUnix && !address.isLoopback && address.port == 0 && address.path == "/run/x.sock")
    }

    @Test func bytesGoBothWays() async throws {
        let directory = try Directory()
        try await withLoop { loop in
            let listener = try Self.listener(on: loop, directory.socket)
            var accepted: [Peer] = []
            listener.startAccepting { socket in
                let peer = Peer(socket, on: loop)
                peer.onReceive = { $0.socket.write($1) }
                accepted.append(peer)
            }
            let here = try await Peer.connect(to: directory.socket, on: loop)
            here.write("hello")
            try await here.until("echo") { $0.text == "hello" }
            here.socket.shutdownWriting()
            accepted[0].socket.close()
            try await here.until("the end") { $0.hasEnded }
            listener.closeListener()
        }
        #expect(directory.files.isEmpty, "the file goes with its listener")
    }

    @Test(arguments: [0o660, 0o600, 0o666] as [UInt32])
    func theFileHasItsMode(mode: UInt32) async throws {
        let directory = try Directory()
        try await withLoop { loop in
            let listener = try Listener(
                on: loop, address: directory.socket, maxConnections: 1, shared: false, mode: mode)
            let attributes = try FileManager.default.attributesOfItem(atPath: "\(directory.path)/x.sock")
            #expect(attributes[.posixPermissions] as? Int == Int(mode))
            listener.closeListener()
        }
    }

    @Test func aFileThatADeadProcessLeftIsReplaced() async throws {
        let directory = try Directory()
        try await withLoop { loop in
            let dead = socket(AF_UNIX, streamSocket, 0)
            #expect(directory.socket.withSockaddr { bind(dead, $0, $1) } == 0 && listen(dead, 1) == 0)
            close(dead)
            let listener = try Self.listener(on: loop, directory.socket)
            listener.startAccepting { _ in }
            _ = try await Socket.connectSocket(to: directory.socket, on: loop, timeout: .seconds(5))
            listener.closeListener()
        }
    }

    @Test func aSocketThatIsListenedOnIsInUse() async throws {
        let directory = try Directory()
        try await withLoop { loop in
            let first = try Self.listener(on: loop, directory.socket)
            let error = #expect(throws: SystemError.self) { try Self.listener(on: loop, directory.socket) }
            #expect(error?.isAddressInUse == true)
            #expect(directory.files == ["x.sock"])
            first.closeListener()
        }
    }

    @Test func whatIsNoSocketIsLeftAlone() async throws {
        let directory = try Directory()
        try Data("precious".utf8).write(to: URL(fileURLWithPath: "\(directory.path)/x.sock"))
        try await withLoop { loop in
            let error = #expect(throws: SystemError.self) { try Self.listener(on: loop, directory.socket) }
            #expect(error?.description == "bind: there is a file of that name that is no socket")
        }
        #expect(try String(contentsOfFile: "\(directory.path)/x.sock", encoding: .utf8) == "precious")
    }

    /// One that started meanwhile keeps its file.
    @Test func theFileOfAnotherIsNotRemoved() async throws {
        let directory = try Directory()
        try await withLoop { loop in
            let first = try Self.listener(on: loop, directory.socket)
            unlink("\(directory.path)/x.sock")
            let second = try Self.listener(on: loop, directory.socket)
            first.closeListener()
            #expect(directory.files == ["x.sock"])
            second.closeListener()
            #expect(directory.files.isEmpty)
        }
    }

    @Test func loopsShareASocket() async throws {
        let directory = try Directory()
        try await withLoop { loop in
            let first = try Self.listener(on: loop, directory.socket)
            let second = Listener(on: loop, try first.sharedDescriptor())
            // The first does not accept.
            second.startAccepting { socket in _ = socket }
            _ = try await Socket.connectSocket(to: directory.socket, on: loop, timeout: .seconds(5))
            second.closeListener()
            #expect(directory.files == ["x.sock"])
            first.closeListener()
            #expect(directory.files.isEmpty)
        }
    }
}
