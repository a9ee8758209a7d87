/// What an error repeats of a value or of an unknown key: a secret that was put in a wrong place must not be printed,
/// nor logged by a reload. Repeated is a text of at most 20 bytes of `a-z 0-9 . : / _ - $` whose words (what stands
/// between the punctuation) are letters alone or digits alone, but for one that begins with a digit, has at most 8
/// characters, and may have capitals, as in `1m30s` or `64KiB`. So a mistyped word, duration, size or address is
/// repeated; a key, a token, a hash, or an address with a password is not.
enum QuotedValue {
    private static let mostBytes = 20
    private static let mostInMixedWord = 8
    private static let punctuation = Array(".:/_-$".utf8)

    /// For behind "found".
    static func of(_ text: String) -> String {
        isHarmless(text) ? "\"\(text)\"" : "a text of \(text.utf8.count) bytes"
    }

    /// For a key path.
    static func key(_ key: String) -> String {
        isHarmless(key) ? key : "(a key of \(key.utf8.count) bytes)"
    }

    static func isHarmless(_ text: String) -> Bool {
        guard text.utf8.count <= mostBytes else { return false }
        let words = text.utf8.split(whereSeparator: punctuation.contains).filter { word in
            !word.allSatisfy(isDigit) && !word.allSatisfy { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }
        }
        guard let mixed = words.first else { return true }
        return words.count == 1 && mixed.count <= mostInMixedWord && mixed.first.map(isDigit) == true
            && mixed.allSatisfy { isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20) }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}
