/// A name in an object of the file: a key, or a section with keys in it.
package enum SettingEntry<Keys: SettingKeys>: Sendable {
    case key(any AnySetting<Keys>)
    case section(String, [any AnySetting<Keys>])

    var name: String {
        switch self {
        case .key(let setting): setting.path
        case .section(let name, _): name
        }
    }

    var settings: [any AnySetting<Keys>] {
        switch self {
        case .key(let setting): [setting]
        case .section(_, let settings): settings
        }
    }

    /// In the order of their first keys.
    static func entries(of all: [any AnySetting<Keys>]) -> [SettingEntry] {
        var names: [String] = []
        var sections: [String: [any AnySetting<Keys>]] = [:]
        for setting in all {
            if sections[setting.names[0]] == nil { names.append(setting.names[0]) }
            sections[setting.names[0], default: []].append(setting)
        }
        return names.map { name in
            let settings = sections[name] ?? []
            return settings.count == 1 && settings[0].path == name ? .key(settings[0]) : .section(name, settings)
        }
    }
}

extension SettingValues {
    /// Reads an object whose keys are these settings; a key that is none of them is a mistake. What has one is as if
    /// the file did not name it.
    /// - Throws: no `ConfigurationError`.
    init(reading node: JSONNode, _ reading: SettingReading, collecting mistakes: inout MistakeList) throws {
        self.init()
        guard let top = node.object(keys: Keys.entries.map(\.name), collecting: &mistakes) else { return }
        for entry in Keys.entries {
            switch entry {
            case .key(let setting):
                try mistakes.collect { try setting.read(top[entry.name], in: node, reading, into: &self) }
            case .section(let name, let settings):
                guard let section = top[name],
                    let members = section.object(keys: settings.map { $0.names[1] }, collecting: &mistakes)
                else { continue }
                for setting in settings {
                    try mistakes.collect {
                        try setting.read(members[setting.names[1]], in: section, reading, into: &self)
                    }
                }
            }
            // Those of a section miss the same key.
            try mistakes.collect { for setting in entry.settings { try setting.checkDependency(top) } }
        }
        for setting in Keys.all { try mistakes.collect { try setting.fill(&self, reading) } }
    }

    /// What is in effect, in the order of the declaration; a key that is not set is left out.
    var shown: OrderedJSON {
        .object(
            Keys.entries.compactMap { entry in
                switch entry {
                case .key(let setting): return setting.shown(self).map { (entry.name, $0) }
                case .section(let name, let settings):
                    let members = settings.compactMap { setting in
                        setting.shown(self).map { (key: setting.names[1], value: $0) }
                    }
                    return members.isEmpty ? nil : (name, .object(members))
                }
            })
    }
}
