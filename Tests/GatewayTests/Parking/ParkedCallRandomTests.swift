import TestSupport
import Testing

@testable import Gateway

/// Whatever happens to a call, in whatever order.
@Suite struct ParkedCallRandomTests {
    private static func run(_ seed: UInt64) throws(Violation) -> Int {
        var drive = try ParkedCallDrive(seed: seed)
        return try drive.run()
    }

    @Test func eachIsAnsweredOnceAndTheCallComesToAnEnd() { RandomSteps.drive("parked calls", Self.run) }

    /// A call that is sent for no client, and a page that is done as it is to be asked for again: each of these finds one of them
    /// where it is not seen to.
    @Test(arguments: [3075, 3597] as [UInt64]) func seedsThatFailed(seed: UInt64) {
        #expect(throws: Never.self) { try Self.run(seed) }
    }
}
