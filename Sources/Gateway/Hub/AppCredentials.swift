import Foundation
import Store

/// What a connection of an app is made with.
struct AppCredentials: Sendable, Equatable {
    let appID: String
    let appSecret: String
    /// Of the platform's API.
    let domain: URL
}

/// Where this replica finds the credentials of installations: in its configuration file, or sealed in the database.
struct CredentialSource: Sendable {
    /// From the file, by app id.
    let configured: [String: AppCredentials]
    let keys: SealingKeys

    init(_ installations: [InstallationSettings], keys: SealingKeys) {
        let credentials = installations.map {
            AppCredentials(appID: $0.appID, appSecret: $0.appSecret, domain: $0.domain)
        }
        configured = Dictionary(credentials.map { ($0.appID, $0) }, uniquingKeysWith: { $1 })
        self.keys = keys
    }

    /// - Throws: `SealingKey.Failure`, `CredentialsMissing`.
    func credentials(of row: InstallationRow) throws -> AppCredentials {
        if let known = configured[row.appID] { return known }
        guard let sealed = row.sealedSecret, let keyID = row.sealedKeyID, let key = keys.key(keyID),
            let domain = URL(string: row.domain)
        else { throw CredentialsMissing(keyID: row.sealedKeyID) }
        return AppCredentials(appID: row.appID, appSecret: try key.open(sealed, for: row.appID), domain: domain)
    }
}

/// This replica has neither the secret of an app nor the key that it is sealed with.
struct CredentialsMissing: Error, CustomStringConvertible {
    let keyID: String?

    var description: String {
        guard let keyID else { return "its secret is neither in the configuration nor in the database" }
        return "its secret is sealed with the key \(keyID), which this gateway does not have"
    }
}
