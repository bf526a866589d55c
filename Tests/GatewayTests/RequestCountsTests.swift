import MCP
import Telemetry
import Testing

@testable import Gateway

@Suite struct RequestCountsTests {
    private static func ended(
        _ method: Method?, status: Int = 200, code: Int? = nil, side: ErrorSide? = nil, failure: BackendFailure? = nil
    ) -> RequestCounts.Ended {
        RequestCounts.Ended(
            method: method, nanoseconds: 3_000_000, status: status, code: code, side: side, failure: failure,
            requestBytes: 10, responseBytes: 20, notifications: 2)
    }

    @Test(arguments: Method.allCases.map { Optional($0) } + [nil], ErrorType.allCases)
    func eachMethodAndErrorHasASeriesOfItsOwn(method: Method?, type: ErrorType) {
        var counts = RequestCounts()
        let codes: [ErrorType: (Int?, Int)] = [.none: (nil, 200), .cancelled: (nil, 499), .other: (-32001, 200)]
        let (code, status) = codes[type] ?? (Int(type.label), 200)
        counts.requestBegan()
        counts.requestEnded(Self.ended(method, status: status, code: code))
        for other in Method.allCases.map({ Optional($0) }) + [nil] {
            for otherType in ErrorType.allCases {
                let expected = other == method && otherType == type ? 1 : 0
                #expect(counts.requestDurations(of: other, otherType).count == expected)
            }
        }
        #expect(counts.allDurations.count == 1)
        #expect(counts.active == 0)
    }

    @Test func methodsAreNumberedFromZero() {
        // The rows of the table.
        #expect(Method.allCases.map(\.rawValue) == Array(0..<Method.allCases.count))
        #expect(ErrorType.allCases.map(\.rawValue) == Array(0..<ErrorType.allCases.count))
        #expect(ErrorSide.allCases.map(\.rawValue) == Array(0..<ErrorSide.allCases.count))
        #expect(BackendFailure.allCases.map(\.rawValue) == Array(0..<BackendFailure.allCases.count))
    }

    @Test func labelsDiffer() {
        #expect(Set(ErrorType.allCases.map(\.label)).count == ErrorType.allCases.count)
        #expect(Set(BackendFailure.allCases.map(\.label)).count == BackendFailure.allCases.count)
    }

    @Test func errorsAndFailuresAreCountedBySide() {
        var counts = RequestCounts()
        for _ in 0..<4 { counts.requestBegan() }
        counts.requestEnded(Self.ended(.callTool, status: 503, code: -32603, side: .backend, failure: .unavailable))
        counts.requestEnded(Self.ended(.callTool, status: 503, code: -32603, side: .remora, failure: .busy))
        counts.requestEnded(Self.ended(nil, status: 400, code: -32700, side: .client))
        #expect(counts.errorCount(on: .backend, .internalError) == 1)
        #expect(counts.errorCount(on: .remora, .internalError) == 1)
        #expect(counts.errorCount(on: .client, .internalError) == 0)
        #expect(counts.errorCount(on: .client, .parseError) == 1)
        #expect(counts.failureCount(.unavailable) == 1)
        #expect(counts.failureCount(.busy) == 1)
        #expect(counts.failureCount(.silent) == 0)
        #expect(counts.answers.map(\.status) == [400, 503])
        #expect(counts.answers.map(\.count) == [1, 2])
        #expect(counts.active == 1)
        #expect(counts.requestBytes == 30 && counts.responseBytes == 60 && counts.notifications == 6)
    }

    @Test(arguments: [Int.min, -1, 0, 99, 600, .max]) func aStatusThatIsNoneCountsNowhere(status: Int) {
        var counts = RequestCounts()
        counts.requestBegan()
        counts.requestEnded(Self.ended(nil, status: status))
        #expect(counts.answers.isEmpty)
        #expect(counts.allDurations.count == 1)
    }

    @Test func loopsAdd() {
        var first = RequestCounts()
        var second = RequestCounts()
        first.requestBegan()
        second.requestBegan()
        second.requestBegan()
        second.requestEnded(Self.ended(.discover, code: -32603, side: .backend, failure: .silent))
        first.addCounts(second)
        #expect(first.active == 2)
        #expect(first.requestDurations(of: .discover, .internalError).count == 1)
        #expect(first.errorCount(on: .backend, .internalError) == 1)
        #expect(first.failureCount(.silent) == 1)
        #expect(first.answers.map(\.count) == [1])
    }
}
