import Foundation

/// Keys that stand twice in one object of a JSON text. JSONSerialization takes the last one silently.
///
/// Made for UTF-8 text that JSONSerialization has accepted. It does not trap on any other text, but then its answer has
/// no meaning. One pass, without recursion; the work is linear in the length of the text.
enum DuplicateKeys {
    /// An object or array that is open at the current position.
    private struct Level {
        let isObject: Bool
        /// In an object: the next string is a key.
        var expectsKey: Bool
        var keys: Set<String> = []
        /// The latest key of the object.
        var key = ""
        /// Of the current element of the array.
        var index = 0

        init(isObject: Bool) {
            self.isObject = isObject
            expectsKey = isObject
        }

        mutating func passComma() {
            if isObject { expectsKey = true } else { index += 1 }
        }

        /// - Returns: false when the key has stood in the object before.
        mutating func take(_ key: String) -> Bool {
            expectsKey = false
            self.key = key
            return keys.insert(key).inserted
        }
    }

    /// Adds a mistake for each, with its key path, such as `installations[1].app_secret`.
    static func find(in bytes: [UInt8], _ mistakes: inout MistakeList) {
        var levels: [Level] = []
        var places = TextPlaces(of: bytes)
        var position = 0
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                let end = endOfString(bytes, from: position + 1)
                if let last = levels.indices.last, levels[last].expectsKey,
                    !levels[last].take(key(bytes[(position + 1)..<end]))
                {
                    mistakes.addOne {
                        ConfigurationError(
                            keyPath: path(levels),
                            problem: "stands twice, the second time in \(places.place(at: position)); the last one "
                                + "would hide the other")
                    }
                }
                position = end
            case UInt8(ascii: "{"): levels.append(Level(isObject: true))
            case UInt8(ascii: "["): levels.append(Level(isObject: false))
            case UInt8(ascii: "}"), UInt8(ascii: "]"): _ = levels.popLast()
            case UInt8(ascii: ","): if let last = levels.indices.last { levels[last].passComma() }
            default: break
            }
            position += 1
        }
    }

    /// - Returns: the index of the closing quote, or the end of the text.
    private static func endOfString(_ bytes: [UInt8], from start: Int) -> Int {
        var position = start
        while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
            position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1
        }
        return min(position, bytes.count)
    }

    /// The key as JSONSerialization reads it: "instal\u006cations" is "installations".
    private static func key(_ bytes: ArraySlice<UInt8>) -> String {
        let plain = String(decoding: bytes, as: UTF8.self)
        guard bytes.contains(UInt8(ascii: "\\")) else { return plain }
        let quoted = Data("\"\(plain)\"".utf8)
        return (try? JSONSerialization.jsonObject(with: quoted, options: [.fragmentsAllowed]) as? String) ?? plain
    }

    private static func path(_ levels: [Level]) -> String {
        levels.reduce(into: "") { path, level in
            if level.isObject {
                let key = QuotedValue.key(level.key)
                path += path.isEmpty ? key : ".\(key)"
            } else {
                path += "[\(level.index)]"
            }
        }
    }
}
