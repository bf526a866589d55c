/// Feeds anything to the reader of configurations.
///
/// The first byte says whether the rest is a file or the options `--backend` and `--listen`.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzConfiguration(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    guard let first = input.first else { return 0 }
    let rest = input.dropFirst()
    if first & 1 == 0 {
        checkFile(Array(rest))
    } else {
        let halves = rest.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
        let texts = halves.map { String(decoding: $0, as: UTF8.self) }
        check(Configuration.forBackend(url: texts[0], listen: texts.count > 1 ? texts[1] : nil), lines: 0)
    }
    return 0
}

/// Stands for a secret: no message may hold it.
private let secret = "s3cr3t: [\"\n"

private func checkFile(_ text: [UInt8]) {
    let lines = 1 + text.count { $0 == 0x0A || $0 == 0x0D }
    let result = Configuration.parseConfiguration(text, file: "remora.yaml") { name in
        switch name.utf8.first {
        case UInt8(ascii: "A"): nil
        case UInt8(ascii: "B"): "http://127.0.0.1:1"
        case UInt8(ascii: "C"): "5m"
        default: secret
        }
    }
    check(result, lines: lines)
    if case .failure(let errors) = result, !String(decoding: text, as: UTF8.self).contains("s3cr3t") {
        precondition(!errors.description.contains("s3cr3t"))
    }
}

private func check(_ result: Result<Configuration, ConfigurationErrors>, lines: Int) {
    switch result {
    case .success(let configuration):
        precondition(!configuration.backends.isEmpty)
        for url in configuration.backends.compactMap(\.url) {
            precondition((url.port > 0 || url.socketPath != nil) && !url.host.isEmpty && url.target.hasPrefix("/"))
            precondition((url.hostField + url.target).utf8.allSatisfy { (0x21...0x7E).contains($0) })
        }
        precondition(configuration.listen.path.utf8.allSatisfy { (0x21...0x7E).contains($0) })
        precondition(configuration.sessions.isolateBy.contains("authorization"))
        precondition((1 << 10...1 << 30).contains(configuration.limits.maxBody))
        precondition(configuration.limits.connectTimeout > .zero)
    case .failure(let errors):
        precondition(!errors.issues.isEmpty)
        precondition(errors.description.utf8.count < 1 << 20)
        for issue in errors.issues {
            precondition((0...lines).contains(issue.line) && (issue.line == 0) == (issue.column == 0))
            precondition(!issue.message.isEmpty && !issue.message.contains("\n"))
        }
    }
}
