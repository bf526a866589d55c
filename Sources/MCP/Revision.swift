/// A revision of the Model Context Protocol, as it is written in messages and headers.
package enum Revision: String, Sendable, CaseIterable, Comparable {
    case v2024_11_05 = "2024-11-05"
    case v2025_03_26 = "2025-03-26"
    case v2025_06_18 = "2025-06-18"
    case v2025_11_25 = "2025-11-25"
    case v2026_07_28 = "2026-07-28"

    /// The one revision that Remora speaks to its clients.
    package static let modern = Revision.v2026_07_28

    /// Its name on the wire.
    package var name: StaticString {
        switch self {
        case .v2024_11_05: "2024-11-05"
        case .v2025_03_26: "2025-03-26"
        case .v2025_06_18: "2025-06-18"
        case .v2025_11_25: "2025-11-25"
        case .v2026_07_28: "2026-07-28"
        }
    }

    /// What Remora offers in `initialize`: the newest revision with a handshake.
    package static let newestLegacy = Revision.v2025_11_25

    /// Whether this revision conveys version and capabilities with each request, without a handshake
    /// (2026-07-28, basic/versioning, "Terminology").
    package var isModern: Bool { self >= .v2026_07_28 }

    /// Whether requests carry the header `MCP-Protocol-Version`, which came with 2025-06-18.
    package var hasVersionHeader: Bool { self >= .v2025_06_18 }

    package static func < (left: Revision, right: Revision) -> Bool { left.rawValue < right.rawValue }
}
