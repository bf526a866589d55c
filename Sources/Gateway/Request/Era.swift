/// Which of the two ways a backend speaks (2026-07-28, basic/versioning, "Terminology").
package enum Era: Sendable {
    /// With a handshake and sessions, until 2025-11-25: calls are translated.
    case legacy
    /// Each request by itself, from 2026-07-28 on: nothing is translated.
    case modern
}
