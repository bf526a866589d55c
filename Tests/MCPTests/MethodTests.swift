import JSONText
import Testing

@testable import MCP

@Suite struct MethodTests {
    private func method(_ text: String) throws -> Method? {
        let document = try JSONDocument(Array(text.utf8))
        return Method(document.root, in: document)
    }

    @Test(arguments: Method.allCases)
    func isFoundByItsName(expected: Method) throws {
        #expect(try method("\"\(expected.name)\"") == expected)
        // However it is spelled.
        let escaped = "\(expected.name)".utf8.map { "\\u00" + String($0, radix: 16) }.joined()
        #expect(try method("\"\(escaped)\"") == expected)
    }

    /// Methods that 2026-07-28 removed or that only go the other way, and what is near a method.
    @Test(
        arguments: [
            "initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "tasks/result",
            "tasks/list", "tasks/status", "tasks/", "roots/list", "sampling/createMessage",
            "elicitation/create", "notifications/initialized", "", "tools/Call", "tools/call ", " tools/call",
            "tools/call/", "tools", "tools/calls", "toolscall",
        ])
    func noOtherNameIsAMethod(name: String) throws {
        #expect(try method("\"\(name)\"") == nil)
    }

    @Test(arguments: ["null", "7", "{}", "[]", "true"])
    func onlyAStringIsAMethod(text: String) throws {
        #expect(try method(text) == nil)
        #expect(try ofExtension(text) == nil)
    }

    private func ofExtension(_ text: String) throws -> Method? {
        let document = try JSONDocument(Array(text.utf8))
        return Method(ofExtension: document.root, in: document)
    }

    /// What a server would do in a session of Remora's, and what only servers ask.
    @Test(
        arguments: [
            "initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "tasks/result",
            "tasks/list", "tasks/get", "tasks/update", "tasks/cancel", "roots/list", "sampling/createMessage",
            "elicitation/create", "notifications/initialized", "", "rpc.discover", #"p\u0069ng"#,
        ])
    func noExtensionHasAMethodOfTheProtocol(name: String) throws {
        #expect(try ofExtension("\"\(name)\"") == nil)
    }

    @Test(arguments: ["vendor.example/do", "events/list", "skills/activate", "tools/calls", "Ping", "tasks"])
    func anExtensionMayHaveAnyOtherMethod(name: String) throws {
        #expect(try ofExtension("\"\(name)\"") == .vendor)
    }

    /// The columns of the specification's tables, side by side.
    @Test(
        arguments: [
            (.discover, nil, nil, true, true), (.listTools, nil, .tools, true, true),
            (.callTool, "name", .tools, false, false), (.listPrompts, nil, .prompts, true, true),
            (.getPrompt, "name", .prompts, false, true), (.listResources, nil, .resources, true, true),
            (.listResourceTemplates, nil, .resources, true, true), (.readResource, "uri", .resources, true, true),
            (.complete, nil, .completions, false, true), (.listSkills, nil, nil, true, true),
            (.getSkill, nil, nil, true, true), (.readDirectory, nil, nil, false, true),
            (.vendor, nil, nil, false, false), (.getTask, "taskId", nil, false, true),
            (.updateTask, "taskId", nil, false, false), (.cancelTask, "taskId", nil, false, true),
        ] as [(Method, String?, ServerCapability?, Bool, Bool)])
    func whatAMethodMeans(
        method: Method, parameter: String?, capability: ServerCapability?, isCacheable: Bool, isSafeToRepeat: Bool
    ) {
        #expect(method.nameParameter.map { "\($0)" } == parameter)
        #expect(method.requiredCapability == capability)
        #expect(method.isCacheable == isCacheable)
        #expect(method.isSafeToRepeat == isSafeToRepeat)
        #expect((method.noun != nil) == (parameter != nil && !method.isAboutTask))
    }

    @Test func revisionsAreInOrderOfTime() {
        #expect(Revision.allCases.sorted() == Revision.allCases)
        #expect(Revision.allCases.filter(\.isModern) == [.modern])
        #expect(Revision.allCases.filter(\.hasVersionHeader) == [.v2025_06_18, .v2025_11_25, .v2026_07_28])
        #expect(Revision.modern.rawValue == "\(Revision.modern.name)")
        #expect(Revision.newestLegacy == Revision.allCases.last { !$0.isModern })
    }
}
