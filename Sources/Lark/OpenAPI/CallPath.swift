/// The path of a call below the domain, percent-encoded. Ids that the platform gave stand in it: none makes another
/// path of it.
struct CallPath: Sendable {
    let text: String

    /// A part that may not stand in a path.
    struct Malformed: Error, CustomStringConvertible {
        let bytes: Int

        var description: String {
            "an id of \(bytes) bytes that may not stand in a path: expected at most \(CallPath.maxPartBytes) letters, "
                + "digits and signs of ASCII, none of them / \\ % ? #; the platform gave it, and the call is not made"
        }
    }

    private static let maxPartBytes = 256

    /// - Parameter parts: words and ids, each between two slashes. What is neither letter, digit, `_` nor `-` is
    ///   encoded. What would be a path where a server decodes too early, or twice, is refused.
    init(_ parts: [String]) throws(Malformed) {
        for part in parts where !Self.isOnePart(part) { throw Malformed(bytes: part.utf8.count) }
        text = "/open-apis/" + parts.map(Self.encoded).joined(separator: "/")
    }

    private static func isOnePart(_ part: String) -> Bool {
        (1...maxPartBytes).contains(part.utf8.count) && part != "." && part != ".."
            && part.utf8.allSatisfy { (0x21...0x7E).contains($0) && !"/\\%?#".utf8.contains($0) }
    }

    private static func encoded(_ part: String) -> String {
        part.utf8.reduce(into: "") { text, byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
                text.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                // Two digits: no byte here is below 0x10.
                text += "%" + String(byte, radix: 16, uppercase: true)
            }
        }
    }
}
