package import MCP
package import Telemetry

/// What one loop has counted of its requests since the start. Everything is counted under labels from closed sets: no
/// client decides how much it is.
package struct RequestCounts: Sendable {
    /// The first status that there is (RFC 9110 §15), and after the last.
    private static let firstStatus = 100
    private static let endOfStatuses = 600

    /// A row a method and one for requests that got no further than the door; a column an error type.
    private var durations: DurationTable
    /// A number for each status.
    private var statuses = Array(repeating: 0, count: RequestCounts.endOfStatuses - RequestCounts.firstStatus)
    /// A number for each side and error type.
    private var errors: [Int]
    private var failures = Array(repeating: 0, count: BackendFailure.allCases.count)
    private let methodCount = Method.allCases.count
    private let typeCount = ErrorType.allCases.count
    package private(set) var active = 0
    package private(set) var requestBytes = 0
    package private(set) var responseBytes = 0
    package private(set) var notifications = 0
    /// Requests that were let in though their version header names an older revision.
    package private(set) var toleratedHeaders = 0

    package init() {
        durations = DurationTable(rows: methodCount + 1, columns: typeCount)
        errors = Array(repeating: 0, count: typeCount * ErrorSide.allCases.count)
    }

    // MARK: Counting

    mutating func requestBegan() { active += 1 }

    mutating func toleratedHeader() { toleratedHeaders += 1 }

    /// The answer to a request is written.
    @inline(__always)
    mutating func requestEnded(_ request: borrowing Ended) {
        active -= 1
        let type = ErrorType(code: request.code, status: request.status)
        durations.recordDuration(
            nanoseconds: request.nanoseconds, row: request.method?.rawValue ?? methodCount, column: type.rawValue)
        if request.status >= RequestCounts.firstStatus, request.status < RequestCounts.endOfStatuses {
            statuses[request.status - RequestCounts.firstStatus] += 1
        }
        if let side = request.side { errors[side.rawValue * typeCount + type.rawValue] += 1 }
        if let failure = request.failure { failures[failure.rawValue] += 1 }
        requestBytes += request.requestBytes
        responseBytes += request.responseBytes
        notifications += request.notifications
    }

    /// A request of which all is known.
    struct Ended: ~Copyable {
        var method: Method?
        var nanoseconds: Int
        var status: Int
        /// The code of the JSON-RPC error, if the answer is one.
        var code: Int?
        var side: ErrorSide?
        var failure: BackendFailure?
        var requestBytes: Int
        var responseBytes: Int
        var notifications: Int
    }

    /// Adds those of another loop.
    package mutating func addCounts(_ other: RequestCounts) {
        durations.addTable(other.durations)
        for index in statuses.indices { statuses[index] += other.statuses[index] }
        for index in errors.indices { errors[index] += other.errors[index] }
        for index in failures.indices { failures[index] += other.failures[index] }
        active += other.active
        requestBytes += other.requestBytes
        responseBytes += other.responseBytes
        notifications += other.notifications
        toleratedHeaders += other.toleratedHeaders
    }

    // MARK: Reading

    /// - Parameter method: nil for requests that got no further than the door, and for methods that Remora does not know.
    package func requestDurations(of method: Method?, _ type: ErrorType) -> DurationHistogram {
        durations.histogram(row: method?.rawValue ?? methodCount, column: type.rawValue)
    }

    /// Of all requests.
    package var allDurations: DurationHistogram { durations.totalHistogram() }

    /// Of all requests that wait for an answer: a subscription lasts for as long as its client listens.
    package var answerDurations: DurationHistogram { durations.totalHistogram(without: Method.listen.rawValue) }

    /// The statuses that were answered with, and how often.
    package var answers: [(status: Int, count: Int)] {
        statuses.enumerated().filter { $0.element > 0 }
            .map { (status: RequestCounts.firstStatus + $0.offset, count: $0.element) }
    }

    package func errorCount(on side: ErrorSide, _ type: ErrorType) -> Int {
        errors[side.rawValue * typeCount + type.rawValue]
    }

    package func failureCount(_ failure: BackendFailure) -> Int { failures[failure.rawValue] }
}
