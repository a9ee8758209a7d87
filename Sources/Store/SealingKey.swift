import CLibsodium
import Foundation

/// A key that seals app secrets at rest (XChaCha20-Poly1305, libsodium's `crypto_aead_xchacha20poly1305_ietf`).
package struct SealingKey: Sendable {
    package enum Failure: Error, Sendable, Equatable, CustomStringConvertible {
        case notAKey
        /// Changed, cut short, sealed for another app, or with another key of the same id.
        case doesNotOpen(keyID: String)

        package var description: String {
            switch self {
            case .notAKey: "not 32 bytes in base64 or hexadecimal (openssl rand -base64 32 makes one)"
            case .doesNotOpen(let keyID): "the sealed secret does not open with the key \(keyID)"
            }
        }
    }

    /// Names the key beside what it sealed, and tells nothing about it.
    package let id: String
    private let bytes: [UInt8]

    private static let keyBytes = Int(crypto_aead_xchacha20poly1305_ietf_KEYBYTES)
    private static let nonceBytes = Int(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES)
    private static let tagBytes = Int(crypto_aead_xchacha20poly1305_ietf_ABYTES)
    /// The first byte of what is sealed.
    private static let version: UInt8 = 1

    /// Once and before all else (libsodium's sodium_init): it chooses what this processor does fastest.
    private static let library = sodium_init()

    /// - Parameter text: base64 or hexadecimal.
    /// - Throws: `Failure.notAKey`.
    package init(_ text: String) throws(Failure) {
        _ = Self.library
        let bytes = Self.decodeHexadecimal(text) ?? Data(base64Encoded: text).map(Array.init) ?? []
        guard bytes.count == Self.keyBytes else { throw .notAKey }
        self.bytes = bytes
        var hash = [UInt8](repeating: 0, count: Int(crypto_generichash_BYTES))
        crypto_generichash(&hash, hash.count, Array("lark-gateway key id".utf8), 19, bytes, bytes.count)
        id = Self.hexadecimal(Array(hash.prefix(4)))
    }

    /// - Parameter appID: what is sealed opens for this app alone.
    package func seal(_ secret: String, for appID: String) -> [UInt8] {
        var nonce = [UInt8](repeating: 0, count: Self.nonceBytes)
        randombytes_buf(&nonce, nonce.count)
        let message = Array(secret.utf8)
        let context = Self.context(appID)
        var sealed = [UInt8](repeating: 0, count: message.count + Self.tagBytes)
        // Can't fail with arguments of these sizes.
        crypto_aead_xchacha20poly1305_ietf_encrypt(
            &sealed, nil, message, UInt64(message.count), context, UInt64(context.count), nil, nonce, bytes)
        return [Self.version] + nonce + sealed
    }

    /// - Throws: `Failure.doesNotOpen`.
    package func open(_ sealed: [UInt8], for appID: String) throws(Failure) -> String {
        let head = 1 + Self.nonceBytes
        guard sealed.count >= head + Self.tagBytes, sealed[0] == Self.version else { throw .doesNotOpen(keyID: id) }
        let nonce = Array(sealed[1..<head])
        let box = Array(sealed[head...])
        let context = Self.context(appID)
        var message = [UInt8](repeating: 0, count: box.count - Self.tagBytes)
        let status = crypto_aead_xchacha20poly1305_ietf_decrypt(
            &message, nil, nil, box, UInt64(box.count), context, UInt64(context.count), nonce, bytes)
        guard status == 0, let secret = String(validating: message, as: UTF8.self) else {
            throw .doesNotOpen(keyID: id)
        }
        return secret
    }

    private static func context(_ appID: String) -> [UInt8] { Array("lark-gateway app_secret \(appID)".utf8) }

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
    private let byID: [String: SealingKey]

    package init(current: SealingKey? = nil, previous: [SealingKey] = []) {
        self.current = current
        byID = Dictionary((previous + (current.map { [$0] } ?? [])).map { ($0.id, $0) }, uniquingKeysWith: { $1 })
    }

    package var ids: [String] { byID.keys.sorted() }

    package func key(_ id: String) -> SealingKey? { byID[id] }
}
