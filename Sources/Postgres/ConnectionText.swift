import CLibpq

/// A connection URI or keyword text, as libpq reads it (Postgres documentation, 34.1.1).
package enum ConnectionText {
    package static func isValid(_ text: String) -> Bool {
        guard let options = PQconninfoParse(text, nil) else { return false }
        PQconninfoFree(options)
        return true
    }
}
