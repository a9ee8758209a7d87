/// What an error repeats of a value or of an unknown key: a secret that was put in a wrong place must not be printed, nor
/// logged by a reload. Repeated is a text of at most 20 bytes of `a-z 0-9 . : / _ - $` whose words (what stands between
/// the punctuation) are letters alone, digits alone, or begin with a digit and have at most 8 characters, as in `1m30s` or
/// `64kib`. So a mistyped word, duration, size or address is repeated; a key, a token, a hash, or an address with a
/// password is not.
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
        text.utf8.count <= mostBytes
            && text.utf8.split(whereSeparator: punctuation.contains).allSatisfy { word in
                let digits = word.count { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
                let letters = word.count { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }
                guard digits + letters == word.count else { return false }
                return digits == 0 || letters == 0
                    || word.count <= mostInMixedWord && word.first.map { $0 <= UInt8(ascii: "9") } == true
            }
    }
}
