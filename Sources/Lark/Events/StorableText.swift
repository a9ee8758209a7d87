/// Text as Postgres stores it, which is any but with a NUL in it.
package enum StorableText {
    private static let replacement = Array("\u{FFFD}".utf8)

    /// U+FFFD stands where a NUL stood.
    package static func of(_ text: String) -> String {
        guard text.utf8.contains(0) else { return text }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            if byte == 0 { bytes += replacement } else { bytes.append(byte) }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Whether U+FFFD stands in it.
    static func wasRepaired(_ text: String) -> Bool {
        text.utf8.contains(replacement[0]) && text.unicodeScalars.contains("\u{FFFD}")
    }
}
