import Store

/// A code that a person shows to an administrator, or gets from one. Only its hash is stored.
package struct BindingCode: Sendable, CustomStringConvertible {
    /// Crockford's base 32: without I, L, O and U. Source: crockford.com/base32.html.
    private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    private static let length = 10
    private let letters: String

    /// 50 random bits from the system.
    package init() {
        letters = String((0..<Self.length).map { _ in Self.alphabet[Int.random(in: 0..<32)] })
    }

    /// The first 50 bits of a hash.
    init(from hash: SecretHash) {
        let bits = hash.bytes.prefix(7).reduce(UInt64(0)) { $0 << 8 | UInt64($1) } >> 6
        letters = String((0..<Self.length).reversed().map { Self.alphabet[Int(bits >> (5 * UInt64($0))) & 31] })
    }

    /// What a person typed: case, spaces and dashes do not count, O is read as 0, I and L as 1; nil when it can't be a
    /// code.
    package init?(_ text: String) {
        var letters = ""
        for scalar in text.unicodeScalars where scalar != "-" && !scalar.properties.isWhitespace {
            guard letters.utf8.count < Self.length, let letter = Self.letter(scalar) else { return nil }
            letters.append(letter)
        }
        guard letters.utf8.count == Self.length else { return nil }
        self.letters = letters
    }

    private static func letter(_ scalar: Unicode.Scalar) -> Character? {
        switch scalar {
        case "O", "o": return "0"
        case "I", "i", "L", "l": return "1"
        default:
            guard scalar.isASCII, let letter = Character(scalar).uppercased().first else { return nil }
            return alphabet.contains(letter) ? letter : nil
        }
    }

    package var description: String { letters.prefix(5) + "-" + letters.suffix(5) }

    package var hash: SecretHash { SecretHash(of: Array(letters.utf8)) }
}
