internal import CHiredis

/// Reads answers from the bytes of a connection, by hiredis' reader.
///
/// What the peer sends bounds what it takes: the bytes of one answer are counted, and a list is refused by its first line
/// where it has too many elements or stands in another one.
@safe final class ReplyReader {
    // All three live on the heap, and are freed by `deinit` and by nothing else. The reader refers to the second, and by
    // `privdata` to the library's own functions.
    private let reader: UnsafeMutablePointer<redisReader>
    private let functions: UnsafeMutablePointer<redisReplyObjectFunctions>
    /// Bytes since the end of the last answer.
    private var count = 0

    init() {
        guard let reader = unsafe redisReaderCreate(), let usual = unsafe reader.pointee.fn else {
            // Some kilobytes, before anything was received.
            preconditionFailure("out of memory")
        }
        unsafe self.reader = reader
        unsafe functions = .allocate(capacity: 1)
        unsafe functions.initialize(to: usual.pointee)
        unsafe functions.pointee.createArray = { task, elements in
            guard let task = unsafe task, unsafe task.pointee.parent == nil,
                (0...StoreLimits.maxElements).contains(Int(elements)),
                let usual = unsafe task.pointee.privdata?.assumingMemoryBound(to: redisReplyObjectFunctions.self)
            else { return nil }
            return unsafe usual.pointee.createArray(task, elements)
        }
        unsafe reader.pointee.privdata = UnsafeMutableRawPointer(usual)
        unsafe reader.pointee.fn = functions
    }

    deinit {
        unsafe redisReaderFree(reader)
        unsafe functions.deallocate()
    }

    /// Takes bytes, of which ``takeReply()`` then makes answers.
    func feedBytes(_ bytes: Span<UInt8>) throws(StoreFailure) {
        count += bytes.count
        // What came behind an answer is counted with it until that is taken: a little more than one answer may wait.
        guard count <= StoreLimits.maxAnswer else { throw .tooLarge }
        let status = unsafe bytes.withUnsafeBytes { raw in
            unsafe redisReaderFeed(reader, raw.baseAddress?.assumingMemoryBound(to: CChar.self), raw.count)
        }
        guard status == REDIS_OK else { throw .malformed }
    }

    /// The next answer; `nil` where it has not come to its end.
    func takeReply() throws(StoreFailure) -> StoreReply? {
        var found: UnsafeMutableRawPointer?
        guard unsafe redisReaderGetReply(reader, &found) == REDIS_OK else { throw .malformed }
        guard let found = unsafe found else { return nil }
        defer { unsafe freeReplyObject(found) }
        count = unsafe Int(clamping: reader.pointee.len &- reader.pointee.pos)
        guard let reply = unsafe ReplyReader.makeReply(found.assumingMemoryBound(to: redisReply.self)) else {
            throw .malformed
        }
        return reply
    }

    private static func makeReply(_ reply: UnsafePointer<redisReply>) -> StoreReply? {
        switch unsafe reply.pointee.type {
        case REDIS_REPLY_STATUS: return unsafe .status(textBytes(of: reply))
        case REDIS_REPLY_STRING: return unsafe .text(textBytes(of: reply))
        case REDIS_REPLY_ERROR: return unsafe .error(textBytes(of: reply))
        case REDIS_REPLY_INTEGER: return unsafe .integer(reply.pointee.integer)
        case REDIS_REPLY_NIL: return .nothing
        case REDIS_REPLY_ARRAY:
            var texts: [[UInt8]] = []
            for index in unsafe 0..<reply.pointee.elements {
                guard let element = unsafe reply.pointee.element?[index],
                    unsafe element.pointee.type == REDIS_REPLY_STRING
                else { return nil }
                unsafe texts.append(textBytes(of: element))
            }
            return .texts(texts)
        default: return nil
        }
    }

    private static func textBytes(of reply: UnsafePointer<redisReply>) -> [UInt8] {
        unsafe [UInt8](UnsafeRawBufferPointer(start: reply.pointee.str, count: reply.pointee.len))
    }
}
