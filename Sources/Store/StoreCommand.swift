internal import CHiredis

/// A command with its arguments.
package struct StoreCommand: Sendable, Equatable {
    package let arguments: [[UInt8]]

    package init(_ name: StaticString, _ arguments: [UInt8]...) { self.init(name, arguments) }

    package init(_ name: StaticString, _ arguments: [[UInt8]]) {
        self.arguments = [Array("\(name)".utf8)] + arguments
    }

    /// How it is sent, by hiredis' formatter; `nil` where it is larger than any may be.
    var wireText: [UInt8]? {
        var sizes = arguments.map(\.count)
        guard sizes.reduce(0, +) <= StoreLimits.maxCommand, let count = Int32(exactly: sizes.count) else { return nil }
        // One piece of memory, which is not empty.
        let joined = Array(arguments.joined()) + [0 as UInt8]
        var text: UnsafeMutablePointer<CChar>?
        let size = unsafe joined.withUnsafeBytes { bytes in
            var places: [UnsafePointer<CChar>?] = unsafe []
            var start = 0
            for size in sizes {
                unsafe places.append(
                    (bytes.baseAddress! + start).assumingMemoryBound(to: CChar.self))
                start += size
            }
            return unsafe Int(redisFormatCommandArgv(&text, count, &places, &sizes))
        }
        guard size > 0, let text = unsafe text else { return nil }
        defer { unsafe redisFreeCommand(text) }
        return unsafe UnsafeRawBufferPointer(start: text, count: size).map { $0 }
    }
}
