/// Whether a text has Markdown signs: fences, tables, headings, lists, bold, links. A text of an agent has up to 8 MiB,
/// and anybody may have got the agent to say it. So each sign is a small machine that takes every Unicode scalar once,
/// with a memory of constant size: the work is linear in the text, whatever it says.
///
/// Scalars, not Characters: to compare a Character of very many combining marks takes the square of them.
enum MarkdownSigns {
    static func areIn(_ text: String) -> Bool {
        var fence = Fence()
        var line = LineStart()
        var bold = Bold()
        var link = Link()
        for scalar in text.unicodeScalars {
            if fence.take(scalar) || line.take(scalar) || bold.take(scalar) || link.take(scalar) { return true }
        }
        return line.isTableRow
    }

    /// Three backticks anywhere.
    private struct Fence {
        private var run = 0

        mutating func take(_ scalar: Unicode.Scalar) -> Bool {
            run = scalar == "`" ? run + 1 : 0
            return run == 3
        }
    }

    /// What begins a line: `# heading`, without an indent; `- item` (or `*`, `+`, `1.`), with any; and `| row |`.
    private struct LineStart {
        private enum State {
            case start
            case indent
            case hashes(Int)
            case number
            /// A sign that makes a heading or an item, if a space and something else follow.
            case sign
            case signAndSpace
            /// Begins with a bar; whether a second one is the last thing in it.
            case row(endsWithBar: Bool)
            /// Nothing that counts.
            case other
        }

        private var state = State.start

        /// At the end of a line, or of the text.
        var isTableRow: Bool {
            if case .row(endsWithBar: true) = state { true } else { false }
        }

        mutating func take(_ scalar: Unicode.Scalar) -> Bool {
            if scalar.isLineEnd {
                defer { state = .start }
                return isTableRow
            }
            switch state {
            case .other: break
            case .start where scalar == "#": state = .hashes(1)
            case .start, .indent: state = Self.first(scalar)
            case .hashes(let count):
                state = scalar == " " ? .signAndSpace : scalar == "#" && count < 6 ? .hashes(count + 1) : .other
            case .number: if !scalar.isNumber { state = scalar == "." ? .sign : .other }
            case .sign: state = scalar == " " ? .signAndSpace : .other
            case .signAndSpace:
                guard scalar.isSpace else { return true }
                state = .other
            case .row: if !scalar.isSpace { state = .row(endsWithBar: scalar == "|") }
            }
            return false
        }

        private static func first(_ scalar: Unicode.Scalar) -> State {
            switch scalar {
            case "|": .row(endsWithBar: false)
            case "-", "*", "+": .sign
            default: scalar.isSpace ? .indent : scalar.isNumber ? .number : .other
            }
        }
    }

    /// `**bold**`, in one line, without another star in it.
    private struct Bold {
        /// Stars in a row, up to here.
        private var stars = 0
        /// Two stars and something else came before.
        private var isOpen = false

        mutating func take(_ scalar: Unicode.Scalar) -> Bool {
            if scalar == "*" {
                stars += 1
                return stars == 2 && isOpen
            }
            if scalar == "\n" { isOpen = false } else if stars > 0 { isOpen = stars > 1 }
            stars = 0
            return false
        }
    }

    /// `[label](target)`: the label in one line, the target without white space. Of several beginnings that are open at
    /// once the first one counts: where a later one is whole, it is whole too.
    private struct Link {
        private enum Part { case none, empty, full }

        private var label = Part.none
        /// A label has just ended.
        private var expectsTarget = false
        private var target = Part.none

        mutating func take(_ scalar: Unicode.Scalar) -> Bool {
            if target == .none {
                if expectsTarget, scalar == "(" { target = .empty }
            } else if scalar == ")" {
                guard target == .empty else { return true }
                target = .none
            } else {
                target = scalar.isSpace ? .none : .full
            }
            expectsTarget = scalar == "]" && label == .full
            switch scalar {
            case "]", "\n": label = .none
            case "[" where label == .none: label = .empty
            default: if label == .empty { label = .full }
            }
            return false
        }
    }
}

extension Unicode.Scalar {
    /// A line ends with it; source: the Unicode Standard, section 5.8.
    fileprivate var isLineEnd: Bool {
        switch value {
        case 0x0A...0x0D, 0x85, 0x2028, 0x2029: true
        default: false
        }
    }

    fileprivate var isSpace: Bool {
        value < 0x80 ? value == 0x20 || (0x09...0x0D).contains(value) : properties.isWhitespace
    }

    /// Any script's.
    fileprivate var isNumber: Bool {
        value < 0x80 ? (0x30...0x39).contains(value) : properties.numericType != nil
    }
}
