import HTTPWire
import JSONText
import Legacy
import MCP
import Translation

/// Reasons not to send a request on a session, for all kinds of calls: what the server lacks, and what it says of its tools.
enum SessionRules {
    static func sessionRefusal(of request: ModernRequest, on session: LegacySession) -> Refusal? {
        if let capability = request.method.requiredCapability, !session.handshake.offers(capability) {
            return .undeclaredCapability(capability, for: request.method)
        }
        if request.method.isOfExtension, !session.handshake.offersExtension(with: request.method) {
            return .methodNotFound(request.methodName, "This server declares no extension that has it.")
        }
        return parameterRefusal(of: request)
    }

    /// Why a request is not sent on any session, by its parameters alone.
    static func parameterRefusal(of request: ModernRequest) -> Refusal? {
        do throws(Refusal) {
            try ParameterRules.checkParameters(request)
            return nil
        } catch {
            return error
        }
    }

    /// Why a call is not sent as it is, by what is known of the server's tools; nil where nothing is in its way.
    ///
    /// - Parameters:
    ///   - fields: the header of the request.
    ///   - session: in which it is to be sent; nil where there is none any more.
    static func obstacle(
        to request: ModernRequest, _ fields: HTTPFields, by parameters: HeaderParameters, on session: LegacySession?,
        _ settings: TaskSettings
    ) -> Obstacle? {
        guard let name = request.document.value("name", of: request.params),
            let tool = request.document.stringBytes(name).flatMap({ parameters[$0] })
        else { return nil }
        do throws(Refusal) {
            try HeaderParameterRules.checkParameterHeaders(request, fields, tool)
        } catch {
            return .refused(error)
        }
        guard settings.isOn, let support = tool.taskSupport, session?.handshake.offersTasks == true else { return nil }
        return support == .required || settings.makesOptional && request.declaresTasks ? .task : nil
    }

    /// Whether a call that the server may have got can be sent once more without harm.
    static func mayRepeat(_ request: ModernRequest, on session: LegacySession, _ settings: GatewaySettings) -> Bool {
        if request.method.isSafeToRepeat { return true }
        guard request.method == .callTool, settings.trustsAnnotations,
            let name = request.document.value("name", of: request.params)
        else {
            return false
        }
        return request.document.stringBytes(name).map { session.toolMayBeRepeated($0) } ?? false
    }

    /// Whether a call that ran up to a question may run once more after its replica was lost.
    static func mayReplay(_ request: ModernRequest, on session: LegacySession, _ settings: GatewaySettings) -> Bool {
        mayRepeat(request, on: session, settings) || isNamed(request, settings)
    }

    /// Whether a session could say so.
    static func mayEverReplay(_ request: ModernRequest, _ settings: GatewaySettings) -> Bool {
        settings.trustsAnnotations || request.method.isSafeToRepeat || isNamed(request, settings)
    }

    private static func isNamed(_ request: ModernRequest, _ settings: GatewaySettings) -> Bool {
        guard request.method == .callTool, !settings.replayedTools.isEmpty,
            let name = request.document.value("name", of: request.params)
        else { return false }
        return request.document.string(name).map { settings.replayedTools.contains($0) } ?? false
    }
}
