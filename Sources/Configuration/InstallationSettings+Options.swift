import Foundation
import Gateway

extension InstallationSettings {
    /// From a command's options, by the rules of the configuration file.
    /// - Throws: `ConfigurationError` that names the option.
    package init(
        appID: String, appSecret: String, domain: String, workspace: String, agent: String, access: String?,
        locale: String?
    ) throws {
        try Configuration.checkAppID(appID, at: "APP_ID")
        self.init(
            appID: appID, appSecret: appSecret,
            domain: try Configuration.domain(JSONNode(path: "--domain", value: domain), domain),
            workspace: workspace, agent: agent,
            access: try access.map { try JSONNode(path: "--access", value: $0).choice(of: Access.self) } ?? .pairing,
            locale: try locale.map { try JSONNode(path: "--locale", value: $0).choice(of: Locale.self) }
                ?? (domain == "feishu" ? .zh : .en))
    }
}
