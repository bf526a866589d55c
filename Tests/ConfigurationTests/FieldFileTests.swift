import Glibc
import Testing

@testable import Configuration

/// `headers.set_from`: what is wrong with a file is said of the file, and without its content.
@Suite struct FieldFileTests {
    private func message(of content: String, _ more: String = "") throws -> String {
        let path = "/tmp/remora-field-test.\(getpid()).\(UInt32.random(in: 0 ... .max))"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        try #require(descriptor >= 0)
        defer { unlink(path) }
        _ = write(descriptor, content, content.utf8.count)
        close(descriptor)
        let text = "backends: [{url: http://b, headers: {\(more)set_from: {X-Api-Key: \(path)}}}]"
        return printed(text).replacing(path, with: "FILE")
    }

    @Test(arguments: [
        ("", "must be a file with the value alone: it is empty, got \"FILE\""),
        ("\r\n", "must be a file with the value alone: it is empty, got \"FILE\""),
        (" s3cret\n", "must be a file with the value alone, in one line"),
        ("s3\ncret\n", "must be a file with the value alone, in one line"),
    ])
    func aFileWithoutAValueIsNamed(_ content: String, _ words: String) throws {
        let message = try message(of: content)
        #expect(message.contains("backends[0].headers.set_from.X-Api-Key \(words)"), "\(message)")
        #expect(!message.contains("headers.set ") && !message.contains("cret"), "\(message)")
    }

    @Test func aFieldOfAFileThatIsForwardedTooIsOneOfSetFrom() throws {
        let message = try message(of: "s3cret", "forward: [x-api-key], ")
        #expect(
            message.contains("backends[0].headers.set_from must not have x-api-key, which headers.forward"),
            "\(message)")
    }
}
