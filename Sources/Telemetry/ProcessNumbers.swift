internal import Glibc

/// What the kernel says of this process (proc(5)). A number that it does not tell is missing.
package struct ProcessNumbers: Sendable {
    /// Bytes in RAM.
    package let residentMemory: Int?
    /// Nanoseconds on a processor, in the kernel too.
    package let processorTime: Int?
    package let openDescriptors: Int?
    /// The limit of open descriptors; nil too where there is none.
    package let maxDescriptors: Int?

    /// As it is now.
    package init() {
        residentMemory = ProcessNumbers.statWords("/proc/self/statm").dropFirst().first.flatMap { Int($0) }
            .map { $0 * sysconf(Int32(_SC_PAGESIZE)) }
        processorTime = ProcessNumbers.readProcessorTime()
        openDescriptors = ProcessNumbers.countDescriptors()
        maxDescriptors = ProcessNumbers.readDescriptorLimit()
    }

    private static func readProcessorTime() -> Int? {
        var time = timespec()
        guard unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return nil }
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    private static func countDescriptors() -> Int? {
        guard let directory = unsafe opendir("/proc/self/fd") else { return nil }
        defer { unsafe closedir(directory) }
        var count = 0
        while unsafe readdir(directory) != nil { count += 1 }
        // `.`, `..` and the directory itself.
        return count - 3
    }

    private static func readDescriptorLimit() -> Int? {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur != rlim_t.max
        else { return nil }
        return Int(clamping: limit.rlim_cur)
    }

    private static func statWords(_ path: String) -> [Substring] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var text = [UInt8](repeating: 0, count: 256)
        let count = unsafe text.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
        return String(decoding: text.prefix(max(0, count)), as: UTF8.self).split(separator: " ")
    }

    /// The clock on the wall, in nanoseconds since 1970.
    package static func wallClock() -> Int {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
}
