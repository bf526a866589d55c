internal import Glibc

/// How many descriptors the process may have open.
package enum DescriptorLimit {
    /// Raises the limit to `wanted`, as far as the system lets it be raised without a privilege. Programs that look at it and
    /// then close that many descriptors would take their time with the most that a system allows.
    ///
    /// - Returns: what it is now.
    package static func raiseLimit(to wanted: Int) -> Int {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard unsafe getrlimit(resource, &limit) == 0 else { return wanted }
        let target = min(rlim_t(clamping: wanted), limit.rlim_max)
        if limit.rlim_cur < target {
            let before = limit.rlim_cur
            limit.rlim_cur = target
            if unsafe setrlimit(resource, &limit) != 0 { limit.rlim_cur = before }
        }
        return Int(clamping: limit.rlim_cur)
    }
}
