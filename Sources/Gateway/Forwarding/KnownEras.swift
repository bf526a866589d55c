/// The era of each backend, by its name. It survives a reload, so that backends are not asked again.
final class KnownEras {
    var eras: [[UInt8]: EraTable.Finding] = [:]
}
