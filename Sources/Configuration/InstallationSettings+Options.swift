import Foundation
import Gateway
import Store

extension InstallationSettings {
    /// Where the platform is that an option `--domain` names.
    /// - Parameter isInsecureAllowed: `network.insecure` of the file.
    /// - Throws: `ConfigurationError` that names the option.
    package static func domain(option text: String, isInsecureAllowed: Bool) throws -> URL {
        let reading = SettingReading(surroundings: Surroundings(environment: [:]), need: .everything)
        let domain = try InstallationKeys.keys.domain.kind.read(JSONNode(path: "--domain", value: text), reading)
        return try InstallationKeys.url(domain, at: "--domain", isInsecureAllowed: isInsecureAllowed)
    }

    /// From a command's options, by the rules of the configuration file.
    /// - Parameter isInsecureAllowed: `network.insecure` of the file.
    /// - Throws: `ConfigurationError` that names the option.
    package init(
        appID: String, appSecret: String, domain: String, workspace: String, agent: String, access: String?,
        locale: String?, isInsecureAllowed: Bool
    ) throws {
        let keys = InstallationKeys.keys
        let reading = SettingReading(surroundings: Surroundings(environment: [:]), need: .everything)
        func read<Value>(_ kind: SettingKind<Value>, _ text: String, at option: String) throws -> Value {
            try kind.read(JSONNode(path: option, value: text), reading)
        }
        let appID = try read(keys.appID.kind, appID, at: "APP_ID")
        let text = try read(keys.domain.kind, domain, at: "--domain")
        self.init(
            appID: appID, appSecret: appSecret,
            domain: try InstallationKeys.url(
                text, at: "--domain", isInsecureAllowed: isInsecureAllowed),
            workspace: try read(keys.workspace.kind, workspace, at: "--workspace"),
            agent: try read(keys.agent.kind, agent, at: "--agent"),
            access: try access.map { try read(keys.access.kind, $0, at: "--access") } ?? keys.access.standard.initial,
            locale: try locale.map { try read(keys.locale.kind, $0, at: "--locale") }
                ?? InstallationKeys.locale(of: domain))
    }
}
