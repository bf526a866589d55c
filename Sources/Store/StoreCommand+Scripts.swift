/// Commands that look and change in one step, as scripts of the store (`EVAL`): no other client comes between.
extension StoreCommand {
    /// Runs a script.
    ///
    /// - Parameters:
    ///   - script: in Lua, as Redis has it. Its answer has to be one that ``StoreReply`` knows.
    ///   - keys: all that it touches. In a cluster they have to be in one place: give them a part in braces in common.
    package init(script: StaticString, keys: [[UInt8]], arguments: [[UInt8]]) {
        let head = [Array("\(script)".utf8), Array("\(keys.count)".utf8)]
        self.init("EVAL", head + keys + arguments)
    }

    /// Sets a value where there is none, or exactly the one that is expected, or this one already. The expiry counts from then on.
    ///
    /// - Parameters:
    ///   - expected: what may be replaced; `nil`: nothing.
    ///   - value: not empty.
    /// - Returns: a command whose answer is the value that is there afterwards, as ``StoreReply/text(_:)``.
    package static func compareAndSet(
        _ key: [UInt8], expecting expected: [UInt8]?, to value: [UInt8], for lifetime: Duration
    ) -> StoreCommand {
        StoreCommand(
            script: compareAndSetScript, keys: [key], arguments: [expected ?? [], value, milliseconds(lifetime)])
    }

    private static let compareAndSetScript: StaticString = """
        local found = redis.call('GET', KEYS[1])
        if found and found ~= ARGV[1] and found ~= ARGV[2] then return found end
        redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
        return ARGV[2]
        """

    /// A time as commands and scripts take it; at least 1.
    package static func milliseconds(_ duration: Duration) -> [UInt8] {
        let (seconds, attoseconds) = duration.components
        let (whole, isTooMuch) = seconds.multipliedReportingOverflow(by: 1000)
        let count = isTooMuch ? Int64(Int32.max) : whole &+ attoseconds / 1_000_000_000_000_000
        return Array("\(max(1, count))".utf8)
    }
}
