/// The path of a call below the domain. Ids that the platform gave stand in it: none makes another path of it.
struct CallPath: Sendable {
    let text: String

    /// A part that may not stand in a path.
    struct Malformed: Error, CustomStringConvertible {
        let bytes: Int

        var description: String {
            "an id of \(bytes) bytes that may not stand in a path: expected letters, digits, - and _, at most "
                + "\(CallPath.maxPartBytes) of them; the platform gave it, and the call is not made"
        }
    }

    private static let maxPartBytes = 256

    /// - Parameter parts: words and ids, each between two slashes.
    init(_ parts: [String]) throws(Malformed) {
        for part in parts where !Self.isPlain(part) { throw Malformed(bytes: part.utf8.count) }
        text = "open-apis/" + parts.joined(separator: "/")
    }

    private static func isPlain(_ part: String) -> Bool {
        (1...maxPartBytes).contains(part.utf8.count)
            && part.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}
