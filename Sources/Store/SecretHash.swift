import CLibsodium

/// The hash of a secret, of 256 bits: all of it that is stored. Compared in constant time: how long a comparison takes
/// tells nothing about where two of them differ.
package struct SecretHash: Sendable, Equatable {
    package let bytes: [UInt8]

    /// The SHA-256.
    /// - Parameter secret: hashed as it is: it must be random enough not to be guessed.
    package init(of secret: [UInt8]) {
        var hash = [UInt8](repeating: 0, count: Int(crypto_hash_sha256_BYTES))
        crypto_hash_sha256(&hash, secret, UInt64(secret.count))
        bytes = hash
    }

    /// A keyed BLAKE2b: who has the hash and not the key can't try out secrets.
    /// - Parameter key: of 16 to 64 bytes.
    init(of secret: [UInt8], key: [UInt8]) {
        var hash = [UInt8](repeating: 0, count: Int(crypto_hash_sha256_BYTES))
        crypto_generichash(&hash, hash.count, secret, UInt64(secret.count), key, key.count)
        bytes = hash
    }

    /// What was stored; nil when it is no hash.
    package init?(stored bytes: [UInt8]) {
        guard bytes.count == Int(crypto_hash_sha256_BYTES) else { return nil }
        self.bytes = bytes
    }

    package static func == (one: SecretHash, other: SecretHash) -> Bool {
        sodium_memcmp(one.bytes, other.bytes, Int(crypto_hash_sha256_BYTES)) == 0
    }
}
