import AsyncRuntime
import Lark

/// What a command says of an agent or a bot that the configuration file has made: it counts until a command takes it
/// back.
package struct Override: Sendable, Equatable {
    /// `runtime`, `may_mention_all` or `archived` of an agent; `revoked` or `app_secret` of a bot.
    package let setting: String
    /// nil: offline, of a runtime.
    package let said: String?
    /// What the file says.
    package let file: String?
    /// Whether that differs.
    package let hides: Bool
    /// User and host, as the command's process saw them; nil: a version that did not note it.
    package let user: String?
    /// RFC 3339.
    package let since: String
    package let age: Duration

    /// - Parameter json: as gateway.agent_overrides and gateway.installation_overrides make it.
    static func all(in json: String) -> [Override] {
        (JSONValue(parsing: json)?.array ?? []).map { value in
            Override(
                setting: value["setting"].string ?? "", said: value["said"].string, file: value["file"].string,
                hides: value["hides"].boolean ?? false, user: value["by"].string, since: value["since"].string ?? "",
                age: .milliseconds(value["age_ms"].integer ?? 0))
        }
    }
}

/// An agent or a bot of the configuration file of which commands say something.
package struct OverriddenThing: Sendable, Equatable {
    /// `installation` or `agent`.
    package let kind: String
    /// The app, or `WORKSPACE/AGENT`.
    package let name: String
    package let overrides: [Override]
}
