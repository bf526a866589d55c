internal import Crypto
internal import Glibc

/// A system call that failed: what was tried and the `errno` that came back.
package struct SystemError: Error, Equatable, CustomStringConvertible {
    package let call: String
    package let code: Int32
    private let words: String?

    /// Whether the peer was not agreed with in a handshake: nothing that was sent has reached its receiver.
    package let isRefusal: Bool

    package init(_ call: String, code: Int32 = errno) {
        self.call = call
        self.code = code
        words = nil
        isRefusal = false
    }

    init(_ error: TLSError) {
        call = "TLS"
        code = 0
        words = error.reason
        isRefusal = error.isRefusal
    }

    /// An error that is no `errno` but comes with its own words.
    init(_ call: String, reason: String) {
        self.call = call
        code = 0
        words = reason
        isRefusal = false
    }

    package static let timedOut: Int32 = ETIMEDOUT

    package var isAddressInUse: Bool { code == EADDRINUSE }

    /// The system's own words for the code, without the call.
    package var reason: String {
        if let words { return words }
        var text = [CChar](repeating: 0, count: 128)
        guard unsafe strerror_r(code, &text, text.count) == 0 else { return "error \(code)" }
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    package var description: String { "\(call): \(reason)" }
}
