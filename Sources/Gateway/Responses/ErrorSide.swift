/// On whose side the cause of an error is.
package enum ErrorSide: Int, CaseIterable, Sendable {
    case client, backend, remora

    package var name: StaticString {
        switch self {
        case .client: "client"
        case .backend: "backend"
        case .remora: "remora"
        }
    }
}
