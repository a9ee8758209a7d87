import CLibsodium
import Foundation

/// A key that seals app secrets at rest (XChaCha20-Poly1305, libsodium's `crypto_aead_xchacha20poly1305_ietf`).
///
/// A secret is sealed for one app at one domain, which are the associated data: who can write the row of an
/// installation can't have the secret sent elsewhere. The first form of what is sealed (`Form.appAlone`) was bound to
/// the app alone. It opens for the platform's own domains and for no other, and is not made any more.
package struct SealingKey: Sendable, Equatable {
    package enum Failure: Error, Sendable, Equatable, CustomStringConvertible {
        case notAKey
        /// libsodium can't be used here (sodium_init): the system has no source of random numbers.
        case noLibrary
        /// Changed, cut short, sealed for another app or domain, or with another key of the same id.
        case doesNotOpen(keyID: String)
        /// Sealed for no domain, in the first form, and the domain is not the platform's own.
        case isBoundToNoDomain(keyID: String)

        package var description: String {
            switch self {
            case .notAKey: "not 32 bytes in base64 or hexadecimal (openssl rand -base64 32 makes one)"
            case .noLibrary: "libsodium does not work on this system (sodium_init): /dev/urandom can't be read"
            case .doesNotOpen(let keyID): "the sealed secret does not open with the key \(keyID)"
            case .isBoundToNoDomain(let keyID):
                "the secret was sealed with the key \(keyID) before secrets were bound to a domain, and opens for "
                    + "the platform's own domains alone"
            }
        }
    }

    /// What is sealed begins with the number of its form.
    private enum Form: UInt8 {
        /// Bound to the app.
        case appAlone = 1
        /// Bound to the app and the domain.
        case appAndDomain = 2
    }

    /// The domains for which the first form opens, as installations name them: who runs them knows the secret anyway.
    package static let platformDomains = ["https://open.feishu.cn", "https://open.larksuite.com"]

    /// Names the key beside what it sealed, and tells nothing about it.
    package let id: String
    /// Names the key beside what it sealed in the first form. Another one, so that a replica of an older version, which
    /// can't open the second form, does not take the installation.
    package let firstFormID: String
    private let bytes: [UInt8]
    /// Derived from `bytes`: the key of the hashes of codes.
    private let codeKey: [UInt8]

    private static let keyBytes = Int(crypto_aead_xchacha20poly1305_ietf_KEYBYTES)
    private static let nonceBytes = Int(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES)
    private static let tagBytes = Int(crypto_aead_xchacha20poly1305_ietf_ABYTES)
    /// Once and before all else (libsodium's sodium_init): it chooses what this processor does fastest.
    private static let library = sodium_init()

    /// - Parameter text: base64 or hexadecimal.
    /// - Throws: `Failure.notAKey`, `Failure.noLibrary`.
    package init(_ text: String) throws(Failure) {
        try self.init(text, library: Self.library)
    }

    /// - Parameter library: what sodium_init said.
    init(_ text: String, library: Int32) throws(Failure) {
        guard library >= 0 else { throw .noLibrary }
        let bytes = Self.decodeHexadecimal(text) ?? Data(base64Encoded: text).map(Array.init) ?? []
        guard bytes.count == Self.keyBytes else { throw .notAKey }
        self.bytes = bytes
        id = Self.name(of: bytes, label: "lark-gateway key id 2")
        firstFormID = Self.name(of: bytes, label: "lark-gateway key id")
        var codeKey = [UInt8](repeating: 0, count: Int(crypto_generichash_KEYBYTES))
        // A context of libsodium has eight letters.
        crypto_kdf_derive_from_key(&codeKey, codeKey.count, 1, "invitecd", bytes)
        self.codeKey = codeKey
    }

    /// The hash by which an invitation's code is stored: without this key nobody finds the code from it.
    package func hash(ofCode letters: [UInt8]) -> SecretHash { SecretHash(of: letters, key: codeKey) }

    private static func name(of key: [UInt8], label: String) -> String {
        var hash = [UInt8](repeating: 0, count: Int(crypto_generichash_BYTES))
        let label = Array(label.utf8)
        crypto_generichash(&hash, hash.count, label, UInt64(label.count), key, key.count)
        return hexadecimal(Array(hash.prefix(4)))
    }

    /// - Parameters:
    ///   - appID: what is sealed opens for this app alone,
    ///   - domain: and at this domain alone, in the very letters that stand in the installation's row.
    package func seal(_ secret: String, for appID: String, at domain: String) -> [UInt8] {
        seal(secret, as: .appAndDomain, Self.context(appID, domain))
    }

    /// In the first form, which versions before this one made.
    package func sealInFirstForm(_ secret: String, for appID: String) -> [UInt8] {
        seal(secret, as: .appAlone, Self.firstContext(appID))
    }

    private func seal(_ secret: String, as form: Form, _ context: [UInt8]) -> [UInt8] {
        var nonce = [UInt8](repeating: 0, count: Self.nonceBytes)
        randombytes_buf(&nonce, nonce.count)
        let message = Array(secret.utf8)
        var sealed = [UInt8](repeating: 0, count: message.count + Self.tagBytes)
        // Can't fail with arguments of these sizes.
        crypto_aead_xchacha20poly1305_ietf_encrypt(
            &sealed, nil, message, UInt64(message.count), context, UInt64(context.count), nil, nonce, bytes)
        return [form.rawValue] + nonce + sealed
    }

    /// Whether the secret is bound to no domain, and should be sealed anew.
    package static func isFirstForm(_ sealed: [UInt8]) -> Bool { sealed.first == Form.appAlone.rawValue }

    /// - Parameter domain: where the secret is to be used, as the installation's row names it.
    /// - Throws: `Failure.doesNotOpen`, `Failure.isBoundToNoDomain`.
    package func open(_ sealed: [UInt8], for appID: String, at domain: String) throws(Failure) -> String {
        switch sealed.first.flatMap(Form.init) {
        case .appAndDomain: return try open(sealed, Self.context(appID, domain), id)
        case .appAlone:
            guard Self.platformDomains.contains(domain) else { throw .isBoundToNoDomain(keyID: firstFormID) }
            return try open(sealed, Self.firstContext(appID), firstFormID)
        case nil: throw .doesNotOpen(keyID: id)
        }
    }

    private func open(_ sealed: [UInt8], _ context: [UInt8], _ id: String) throws(Failure) -> String {
        let head = 1 + Self.nonceBytes
        guard sealed.count >= head + Self.tagBytes else { throw .doesNotOpen(keyID: id) }
        let nonce = Array(sealed[1..<head])
        let box = Array(sealed[head...])
        var message = [UInt8](repeating: 0, count: box.count - Self.tagBytes)
        let status = crypto_aead_xchacha20poly1305_ietf_decrypt(
            &message, nil, nil, box, UInt64(box.count), context, UInt64(context.count), nonce, bytes)
        guard status == 0, let secret = String(validating: message, as: UTF8.self) else {
            throw .doesNotOpen(keyID: id)
        }
        return secret
    }

    private static func firstContext(_ appID: String) -> [UInt8] { Array("lark-gateway app_secret \(appID)".utf8) }

    /// Each part stands behind its length: no two pairs make the same bytes.
    private static func context(_ appID: String, _ domain: String) -> [UInt8] {
        [appID, domain].reduce(into: Array("lark-gateway app_secret of app at domain".utf8)) { bytes, part in
            withUnsafeBytes(of: UInt64(part.utf8.count).bigEndian) { bytes.append(contentsOf: $0) }
            bytes.append(contentsOf: part.utf8)
        }
    }

    private static func decodeHexadecimal(_ text: String) -> [UInt8]? {
        guard text.utf8.count == 2 * keyBytes else { return nil }
        var bytes = [UInt8](repeating: 0, count: keyBytes)
        // No sign is skipped, and what is left over is refused: with neither, a key of another length can't pass.
        guard sodium_hex2bin(&bytes, bytes.count, text, text.utf8.count, nil, nil, nil) == 0 else { return nil }
        return bytes
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        var text = [CChar](repeating: 0, count: 2 * bytes.count + 1)
        sodium_bin2hex(&text, text.count, bytes, bytes.count)
        return String(decoding: text.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// The keys that a gateway has: one to seal with, and all of them to open.
package struct SealingKeys: Sendable {
    package let current: SealingKey?
    /// The current one first.
    package let all: [SealingKey]
    private let byID: [String: SealingKey]

    package init(current: SealingKey? = nil, previous: [SealingKey] = []) {
        self.current = current
        all = (current.map { [$0] } ?? []) + previous
        byID = Dictionary(all.flatMap { [($0.firstFormID, $0), ($0.id, $0)] }, uniquingKeysWith: { first, _ in first })
    }

    /// Of both forms.
    package var ids: [String] { byID.keys.sorted() }

    /// - Parameter id: of either form.
    package func key(_ id: String) -> SealingKey? { byID[id] }
}
