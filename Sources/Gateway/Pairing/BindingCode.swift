import Store

/// A code that a person shows to an administrator, or gets from one. Only its hash is stored.
///
/// Who reads the database must not find a code from its hash while it is good. So a code has 80 random bits, or 50
/// where its hash is keyed: where a hash is fast and needs no key, one graphics card tries out all of 2^50 in a day.
package struct BindingCode: Sendable, CustomStringConvertible {
    /// Crockford's base 32: without I, L, O and U. Source: crockford.com/base32.html.
    private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    /// Of 80 bits, and of 50.
    private static let (length, shortLength) = (16, 10)
    private let letters: String

    /// 80 random bits from the system: for what is stored as `hash`.
    package init() {
        self.init(length: Self.length)
    }

    /// 50 random bits: for what is stored behind a key, as `hash(with:)`.
    package static func short() -> BindingCode { BindingCode(length: shortLength) }

    private init(length: Int) {
        letters = String((0..<length).map { _ in Self.alphabet[Int.random(in: 0..<32)] })
    }

    /// The first 80 bits of a hash.
    init(from hash: SecretHash) {
        func letter(_ index: Int) -> Character {
            let (byte, bit) = (5 * index / 8, 5 * index % 8)
            let bits = UInt16(hash.bytes[byte]) << 8 | UInt16(hash.bytes[byte + 1])
            return Self.alphabet[Int(bits >> (11 - bit)) & 31]
        }
        letters = String((0..<Self.length).map(letter))
    }

    /// What a person typed: case, spaces and dashes do not count, O is read as 0, I and L as 1; nil when it can't be a
    /// code.
    package init?(_ text: String) {
        var letters = ""
        for scalar in text.unicodeScalars where scalar != "-" && !scalar.properties.isWhitespace {
            guard letters.utf8.count < Self.length, let letter = Self.letter(scalar) else { return nil }
            letters.append(letter)
        }
        guard [Self.length, Self.shortLength].contains(letters.utf8.count) else { return nil }
        self.letters = letters
    }

    private init(letters: String) {
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

    /// In groups: 7K2QF-0MXYZ, 7K2Q-F0MX-YZ23-45AB.
    package var description: String {
        let size = letters.utf8.count == Self.shortLength ? 5 : 4
        return stride(from: 0, to: letters.utf8.count, by: size)
            .map { String(letters.dropFirst($0).prefix(size)) }.joined(separator: "-")
    }

    /// Without a key.
    package var hash: SecretHash { SecretHash(of: Array(letters.utf8)) }

    package func hash(with key: SealingKey) -> SecretHash { key.hash(ofCode: Array(letters.utf8)) }

    /// By which an invitation of this code may be stored: behind the current key or one before it, or without a key.
    package func hashes(with keys: SealingKeys) -> [SecretHash] { keys.all.map { hash(with: $0) } + [hash] }

    /// By which a prompt of this code may be stored. A version up to 0.1 stored the first ten letters of what a page
    /// shows now.
    package var approvalHashes: [SecretHash] {
        letters.utf8.count == Self.shortLength
            ? [hash] : [hash, BindingCode(letters: String(letters.prefix(Self.shortLength))).hash]
    }
}
