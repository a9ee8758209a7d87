/// The configuration file as a JSON Schema, draft 2020-12: what an editor needs to complete and check it.
///
/// It takes whatever the reader takes. It can't say all that the reader refuses: a key that stands twice; what
/// `Settings.rules` and the uniqueness of apps and agents say of several keys; the bounds of a size, and the upper
/// bound of a duration; whether text is a connection that libpq reads, or a URL that can be parsed; whether a secret, a
/// file or a variable is there and good.
package enum SettingsSchema {
    package static let document: OrderedJSON = .object(
        [
            ("$schema", "https://json-schema.org/draft/2020-12/schema"),
            ("title", "The configuration of lark-gateway"),
            (
                "description",
                "Made by lark-gateway config schema. A secret is a text, or env:NAME, file:/path or credential:name. A duration is such as 500ms, 3s or 1m30s."
            ),
        ] + object(of: Settings.self))

    /// An object with these keys and no other.
    static func object<Keys: SettingKeys>(of keys: Keys.Type) -> [(key: String, value: OrderedJSON)] {
        let entries = Keys.entries
        let properties = entries.map { entry in
            switch entry {
            case .key(let setting): (key: entry.name, value: value(of: setting))
            case .section(let name, let settings):
                (
                    key: name,
                    value: OrderedJSON.object(
                        object(
                            settings.map { (key: $0.names[1], value: value(of: $0)) },
                            required: settings.filter(\.isRequired).map { $0.names[1] }))
                )
            }
        }
        let required = entries.compactMap { entry in
            if case .key(let setting) = entry, setting.isRequired { entry.name } else { nil }
        }
        let dependencies = entries.compactMap { entry in
            entry.settings.lazy.compactMap(\.dependencyKey).first.map {
                (key: entry.name, value: [.string($0)] as OrderedJSON)
            }
        }
        return object(properties, required: required)
            + (dependencies.isEmpty ? [] : [("dependentRequired", .object(dependencies))])
    }

    private static func object(
        _ properties: [(key: String, value: OrderedJSON)], required: [String]
    ) -> [(key: String, value: OrderedJSON)] {
        [("type", "object"), ("properties", .object(properties)), ("additionalProperties", .boolean(false))]
            + (required.isEmpty ? [] : [("required", .array(required.map { .string($0) }))])
    }

    private static func value(of setting: some AnySetting) -> OrderedJSON {
        let form = setting.form
        // The words of a choice stand in the schema already.
        let isChoice = form.schema.contains { ["enum", "anyOf"].contains($0.key) }
        let description = form.fields.isEmpty && !isChoice ? "\(form.words): \(setting.meaning)" : setting.meaning
        return .object(
            [("description", .string(description + (setting.needsRestart ? ". A change needs a restart" : "")))]
                + form.schema + (setting.standardValue.map { [("default", $0)] } ?? []))
    }
}
