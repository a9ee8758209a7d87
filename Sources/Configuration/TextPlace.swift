/// A place in a text, as editors count: lines and characters from 1.
struct TextPlace: Equatable, CustomStringConvertible {
    let line: Int
    let column: Int

    var description: String { "line \(line), column \(column)" }
}

/// Tells the places of offsets that never go back, so that all of them together take one pass.
struct TextPlaces {
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private var column = 1

    /// - Parameter bytes: UTF-8.
    init(of bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// - Parameter offset: of a byte; not before that of the last call.
    mutating func place(at offset: Int) -> TextPlace {
        while position < min(offset, bytes.count) {
            switch bytes[position] {
            case UInt8(ascii: "\n"): (line, column) = (line + 1, 1)
            // Not the first byte of a character.
            case 0x80...0xBF: break
            default: column += 1
            }
            position += 1
        }
        return TextPlace(line: line, column: column)
    }
}
