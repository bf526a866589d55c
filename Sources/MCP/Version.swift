/// Remora's own version, as `remora version` prints it and as servers read it in `clientInfo`.
package enum Version {
    package static let current = "0.1.0"
}
