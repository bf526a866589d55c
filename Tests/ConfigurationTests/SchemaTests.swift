import Foundation
import Testing

@testable import Configuration

/// `remora schema`: what the end-to-end tests validate files with has every key.
@Suite struct SchemaTests {
    @Test func hasEveryKeyOfTheFullFile() throws {
        let root = String(#filePath.split(separator: "/").dropLast(3).joined(separator: "/"))
        let text = try Configuration.readFile("/\(root)/conf/remora.full.yaml").get()
        let known = Configuration.decodeText(text, file: "full") { _ in nil }.knownKeys
        let schema = try JSONSerialization.jsonObject(with: Data(Configuration.schemaText.utf8))
        let all = Set(known).union(["clients[0].name", "clients[0].roots", "clients[0].client_capabilities"])
        #expect(Set(Self.keys(of: schema)) == all)
    }

    private static func keys(of schema: Any, path: String = "") -> [String] {
        guard let schema = schema as? [String: Any] else { return [] }
        let items = schema["items"].map { keys(of: $0, path: "\(path)[0]") } ?? []
        let properties = schema["properties"] as? [String: Any] ?? [:]
        return items
            + properties.flatMap { key, value in
                let name = path.isEmpty ? key : "\(path).\(key)"
                return [name] + keys(of: value, path: name)
            }
    }
}
