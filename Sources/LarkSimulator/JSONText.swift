import Foundation

/// JSON as the simulator writes it.
enum JSONText {
    static func encode(_ object: Any) -> String {
        let options: JSONSerialization.WritingOptions = [.sortedKeys, .withoutEscapingSlashes, .fragmentsAllowed]
        let data = try? JSONSerialization.data(withJSONObject: object, options: options)
        return String(decoding: data ?? Data("null".utf8), as: UTF8.self)
    }
}
