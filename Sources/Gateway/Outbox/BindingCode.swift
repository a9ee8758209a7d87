import CLibsodium

/// A code that a person shows to an administrator. Only its hash is stored.
package struct BindingCode: Sendable, CustomStringConvertible {
    /// Crockford's base 32: without I, L, O and U.
    private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    private let letters: String

    /// 50 random bits from the system.
    package init() {
        letters = String((0..<10).map { _ in Self.alphabet[Int.random(in: 0..<32)] })
    }

    /// What a person typed: case, spaces and dashes do not count; nil when it can't be a code.
    package init?(_ text: String) {
        let letters = text.uppercased().filter { $0 != "-" && !$0.isWhitespace }
        guard letters.count == 10, letters.allSatisfy(Self.alphabet.contains) else { return nil }
        self.letters = letters
    }

    package var description: String { letters.prefix(5) + "-" + letters.suffix(5) }

    package var sha256: [UInt8] {
        var hash = [UInt8](repeating: 0, count: Int(crypto_hash_sha256_BYTES))
        let bytes = Array(letters.utf8)
        crypto_hash_sha256(&hash, bytes, UInt64(bytes.count))
        return hash
    }
}
