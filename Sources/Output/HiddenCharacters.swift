/// Characters that a reader does not see, or that change how others are shown: controls (Cc; they move a terminal's
/// cursor), format characters (Cf; they turn the order of what stands around them, or have no width), and the
/// separators of lines and paragraphs (Zl, Zp). Source: the Unicode Standard, general categories; Unicode Technical
/// Report 36.
package enum HiddenCharacters {
    package static func contains(_ scalar: Unicode.Scalar) -> Bool {
        // Most texts are of ASCII alone, which needs no table.
        guard scalar.value > 0x7E else { return scalar.value < 0x20 }
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: return true
        default: return false
        }
    }

    package static func areIn(_ text: String) -> Bool {
        text.unicodeScalars.contains(where: contains)
    }

    /// The text on one line, as it can be shown: what separates lines or columns becomes a space, and each other hidden
    /// character the replacement character, so that a reader sees that something stood there.
    package static func shown(_ text: String) -> String {
        guard areIn(text) else { return text }
        var shown = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if !contains(scalar) {
                shown.append(scalar)
            } else {
                shown.append(separates(scalar) ? " " : "\u{FFFD}")
            }
        }
        return String(shown)
    }

    /// As in a string of JSON: `\u202e`, in UTF-16 code units (RFC 8259, section 7).
    package static func escaped(_ scalar: Unicode.Scalar) -> String {
        UTF16.encode(scalar).map { units in
            units.map { unit in
                let digits = String(unit, radix: 16)
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }.joined()
        } ?? ""
    }

    private static func separates(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09...0x0D, 0x85, 0x2028, 0x2029: true
        default: false
        }
    }
}
