import Store

/// What is in the store for the session of one pool key, and the commands for it.
///
/// The sealed session is claimed by compare-and-set. Beside it is who uses it (a sorted set: names of loops, and until when), so that
/// only the last one ends it; and which of them listens to its GET stream. Each has an expiry.
struct SharedSessionCommands {
    /// How long a user counts that does not renew itself, and how long one is the listener: three rounds of ``SharedSessions``.
    static let userLifetime: Duration = .seconds(30)

    private let session: [UInt8]
    private let users: [UInt8]
    private let streamPrefix: [UInt8]
    /// Of this loop, and of no other.
    private let user: [UInt8]

    /// - Parameters:
    ///   - prefix: of what Remora has in the store.
    ///   - name: of the entry. In braces, so that a cluster has all three in one place.
    init(prefix: String, name: [UInt8], user: [UInt8]) {
        let name = Array("{".utf8) + name + Array("}".utf8)
        session = Array("\(prefix)session:".utf8) + name
        users = Array("\(prefix)session-users:".utf8) + name
        streamPrefix = Array("\(prefix)session-stream:".utf8) + name + Array(":".utf8)
        self.user = user
    }

    /// This loop counts as a user from then on: before it looks, so that no other ends what it finds.
    private var joinUsers: StoreCommand {
        StoreCommand(
            script: """
                local time = redis.call('TIME')
                local now = time[1] * 1000 + math.floor(time[2] / 1000)
                redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
                redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
                redis.call('PEXPIRE', KEYS[1], ARGV[2])
                return 1
                """, keys: [users], arguments: [user, StoreCommand.milliseconds(Self.userLifetime)])
    }

    /// The answers are 1, and the sealed session, if there is one.
    var find: [StoreCommand] { [joinUsers, StoreCommand("GET", session)] }

    /// Puts a sealed session there, or renews it, and makes this loop its listener where it has none.
    ///
    /// - Parameters:
    ///   - expected: what it may replace.
    ///   - stream: tells the session from others that had the entry: ASCII.
    /// - Returns: commands whose answers are 1, the sealed session that is there afterwards, and the listener of this one.
    func claim(
        _ text: [UInt8], expecting expected: [UInt8]?, stream: [UInt8], for lifetime: Duration
    ) -> [StoreCommand] {
        [
            joinUsers, .compareAndSet(session, expecting: expected, to: text, for: lifetime),
            .compareAndSet(streamPrefix + stream, expecting: user, to: user, for: Self.userLifetime),
        ]
    }

    /// This loop does not use the session any more. The answer is 1 where no other does: then the entry is gone, and the session is to be
    /// ended.
    ///
    /// - Parameters:
    ///   - text: as it was claimed or found. Another one is left alone.
    ///   - keeps: whether the entry stays for others that may come.
    func leave(_ text: [UInt8], stream: [UInt8], keeps: Bool) -> StoreCommand {
        StoreCommand(
            script: """
                redis.call('ZREM', KEYS[2], ARGV[1])
                if redis.call('GET', KEYS[3]) == ARGV[1] then redis.call('DEL', KEYS[3]) end
                if ARGV[3] == 'keep' or redis.call('GET', KEYS[1]) ~= ARGV[2] then return 0 end
                local time = redis.call('TIME')
                redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', time[1] * 1000 + math.floor(time[2] / 1000))
                if redis.call('ZCARD', KEYS[2]) > 0 then return 0 end
                redis.call('DEL', KEYS[1])
                return 1
                """, keys: [session, users, streamPrefix + stream],
            arguments: [user, text, Array((keeps ? "keep" : "end").utf8)])
    }
}
