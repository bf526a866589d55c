import Legacy
import Testing

@testable import Gateway

@Suite struct AttemptsTests {
    private func error(_ kind: BackendError.Kind) -> BackendError { BackendError(kind, "\(kind)") }

    /// What the client is told in the end; nil while another attempt is to be made.
    private func outcome(of kinds: [BackendError.Kind], mayRepeat: Bool) -> BackendError.Kind? {
        var attempts = Attempts()
        for (index, kind) in kinds.enumerated() {
            do throws(BackendError) {
                try attempts.noteFailure(error(kind), mayRepeat: mayRepeat)
            } catch {
                #expect(index == kinds.count - 1, "an attempt was made after the last")
                return error.kind
            }
        }
        return nil
    }

    @Test(
        arguments: [
            ([.sessionLost], nil), ([.noAnswer], nil),
            ([.sessionLost, .noAnswer], nil), ([.noAnswer, .sessionLost], nil),
            ([.sessionLost, .sessionLost], .sessionLost), ([.noAnswer, .noAnswer], .noAnswer),
            ([.sessionLost, .noAnswer, .unavailable], .noAnswer), ([.noAnswer, .sessionLost, .sessionLost], .noAnswer),
            ([.noAnswer, .busy], .noAnswer), ([.noAnswer, .silent], .silent), ([.unavailable], .unavailable),
            ([.cancelled], .cancelled),
        ] as [([BackendError.Kind], BackendError.Kind?)])
    func eachIsMendedOnce(_ kinds: [BackendError.Kind], _ told: BackendError.Kind?) {
        #expect(outcome(of: kinds, mayRepeat: true) == told)
    }

    @Test func whatMayNotRunTwiceIsSentAgainOnlyIfItNeverRan() {
        #expect(outcome(of: [.sessionLost], mayRepeat: false) == nil)
        #expect(outcome(of: [.noAnswer], mayRepeat: false) == .noAnswer)
    }

    @Test func aSessionThatIsNotToBeHadDoesNotUnsayTheDoubt() throws {
        var attempts = Attempts()
        #expect(attempts.errorForClient(error(.busy)).kind == .busy)
        try attempts.noteFailure(error(.noAnswer), mayRepeat: true)
        #expect(attempts.errorForClient(error(.busy)).kind == .noAnswer)
    }
}
