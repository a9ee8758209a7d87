/// A row of the table in README.md: a key, with what its declaration says of it.
package struct SettingRow: Sendable {
    /// Such as `installations[].app_id`.
    package let path: String
    package let needsRestart: Bool
    let words: String
    let standard: String
    let meaning: String

    /// Of every key; of an object's, and of a list of objects', the keys in it.
    static func rows<Keys: SettingKeys>(of keys: Keys.Type) -> [SettingRow] {
        Keys.all.flatMap { setting -> [SettingRow] in
            let form = setting.form
            let path = setting.path + (form.isList ? "[]" : "")
            guard form.fields.isEmpty else {
                return form.fields.map { field in
                    SettingRow(
                        path: "\(path).\(field.path)", needsRestart: setting.needsRestart, words: field.words,
                        standard: field.standard, meaning: field.meaning)
                }
            }
            return [
                SettingRow(
                    path: path, needsRestart: setting.needsRestart, words: form.words,
                    standard: setting.standardWords ?? setting.standardValue.map { "`\($0.line)`" } ?? "",
                    meaning: setting.meaning)
            ]
        }
    }
}

/// The table of keys in README.md.
package enum SettingsTable {
    package static let rows = SettingRow.rows(of: Settings.self)

    package static let markdown: String = {
        let head = """
            | key | value | default | a change needs | meaning |
            | --- | --- | --- | --- | --- |

            """
        return rows.reduce(into: head) { table, row in
            table += "| `\(row.path)` | \(row.words) | \(row.standard) "
            table += "| \(row.needsRestart ? "restart" : "reload") | \(row.meaning) |\n"
        }
    }()
}
