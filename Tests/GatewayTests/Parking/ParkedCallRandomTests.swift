import Testing

@testable import Gateway

/// Whatever happens to a call, in whatever order.
@Suite struct ParkedCallRandomTests {
    private static func run(_ seed: UInt64) throws(Violation) -> Int {
        var drive = try ParkedCallDrive(seed: seed)
        return try drive.run()
    }

    @Test func eachIsAnsweredOnceAndTheCallComesToAnEnd() { RandomSteps.drive("parked calls", Self.run) }

    /// Those that something was wrong with.
    @Test(arguments: [1] as [UInt64]) func seedsThatFailed(seed: UInt64) {
        #expect(throws: Never.self) { try Self.run(seed) }
    }
}
