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
/// What is sealed counts: of an app of the file only a command has put it there, after the file.
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

    /// A secret of the file goes to the file's domain; a sealed one to the row's, where it is sealed for it.
    /// - Throws: `CredentialsMissing`, `CredentialsLocked`.
    func credentials(of row: InstallationRow) throws -> AppCredentials {
        if row.sealedSecret == nil, let known = configured[row.appID] { return known }
        guard let sealed = row.sealedSecret, let keyID = row.sealedKeyID, let key = keys.key(keyID) else {
            throw CredentialsMissing(keyID: row.sealedKeyID)
        }
        do throws(SealingKey.Failure) {
            let secret = try key.open(sealed, for: row.appID, at: row.domain)
            guard let domain = URL(string: row.domain) else { throw SealingKey.Failure.doesNotOpen(keyID: keyID) }
            return AppCredentials(appID: row.appID, appSecret: secret, domain: domain)
        } catch {
            throw CredentialsLocked(
                appID: row.appID, domain: row.domain, failure: error, isInFile: configured[row.appID] != nil)
        }
    }

    /// - Returns: the secret of the row sealed for the row's domain, with the same key; nil where it is so already, or
    ///   this replica can't tell.
    func boundToDomain(_ row: InstallationRow) -> [UInt8]? {
        guard let sealed = row.sealedSecret, SealingKey.isFirstForm(sealed),
            let keyID = row.sealedKeyID, let key = keys.key(keyID),
            let secret = try? key.open(sealed, for: row.appID, at: row.domain)
        else { return nil }
        return key.seal(secret, for: row.appID, at: row.domain)
    }
}

/// This replica has the key of a sealed secret, and it does not open for the domain that the row names.
struct CredentialsLocked: Error, CustomStringConvertible {
    let appID: String
    let domain: String
    let failure: SealingKey.Failure
    /// The file has a secret of its own, which a command has overridden.
    let isInFile: Bool

    var description: String { "\(failure); the domain in the database is \(DomainText.shown(domain))" }

    var hint: String {
        (isInFile ? "to use the file's secret again: lark-gateway installation reset \(appID); else " : "")
            + "where the domain is right, give the secret for it: lark-gateway installation set-secret \(appID) --domain URL;"
            + " where it is not, find out who changed the row"
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
