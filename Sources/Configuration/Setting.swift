import Foundation

/// One key of the configuration file, declared once: how its value is read, what it is unless it is named, what a
/// change of it needs, and what it means. The reader, the list of keys that need a restart, `config print`, the table
/// in README.md and config.schema.json all come from this value.
package struct Setting<Keys: SettingKeys, Value: Sendable>: Sendable {
    /// In its object: `lease.ttl`; at most one dot. The object itself is the file, or an element such as `agents[]`.
    package let path: String
    let kind: SettingKind<Value>
    let standard: Standard
    /// false: a reload applies the key.
    package let needsRestart: Bool
    private let differs: @Sendable (Value, Value) -> Bool
    /// A reading for less than this leaves out a secret that stands elsewhere, and can't be read from there or is not
    /// what it should be.
    let neededFor: Configuration.Need
    let dependency: Dependency?
    /// In Markdown, a line.
    package let meaning: String

    /// What a key is unless the file names it.
    struct Standard: Sendable {
        /// What the key is until `derive` has its turn.
        let initial: Value
        /// In the table; nil: the initial value itself.
        let words: String?
        /// The key must stand in its object, where that object stands.
        let isRequired: Bool
        /// From what the file names, and the environment.
        let derive: (@Sendable (SettingValues<Keys>, SettingReading) throws -> Value)?

        static func value(_ value: Value) -> Self {
            Self(initial: value, words: nil, isRequired: false, derive: nil)
        }

        static func derived(
            _ words: String, initial: Value,
            _ derive: @escaping @Sendable (SettingValues<Keys>, SettingReading) throws -> Value
        ) -> Self {
            Self(initial: initial, words: words, isRequired: false, derive: derive)
        }

        static func required(_ words: String = "required", initial: Value) -> Self {
            Self(initial: initial, words: words, isRequired: true, derive: nil)
        }

        /// Not set; `words` say what then happens.
        static func none<Wrapped>(_ words: String = "") -> Self where Value == Wrapped? {
            Self(initial: nil, words: words, isRequired: false, derive: nil)
        }
    }

    /// The setting's first name may stand in the file only where the key stands too.
    struct Dependency: Sendable {
        let key: String
        /// What is said where it does not.
        let problem: String
    }

    private init(
        path: String, kind: SettingKind<Value>, standard: Standard, needsRestart: Bool,
        neededFor: Configuration.Need, dependency: Dependency?, meaning: String
    ) where Value: Equatable {
        self.path = path
        self.kind = kind
        self.standard = standard
        self.needsRestart = needsRestart
        differs = { $0 != $1 }
        self.neededFor = neededFor
        self.dependency = dependency
        self.meaning = meaning
    }

    /// A key that is read at the start alone.
    init(
        restart path: String, _ kind: SettingKind<Value>, _ standard: Standard,
        neededFor need: Configuration.Need = .nothing, dependency: Dependency? = nil, _ meaning: String
    ) where Value: Equatable {
        self.init(
            path: path, kind: kind, standard: standard, needsRestart: true, neededFor: need,
            dependency: dependency, meaning: meaning)
    }

    /// A key whose change a reload applies.
    init(
        reload path: String, _ kind: SettingKind<Value>, _ standard: Standard,
        neededFor need: Configuration.Need = .nothing, _ meaning: String
    ) where Value: Equatable {
        self.init(
            path: path, kind: kind, standard: standard, needsRestart: false, neededFor: need, dependency: nil,
            meaning: meaning)
    }
}

/// A list of settings: a struct whose stored properties are `Setting` values, in the order in which people read them.
/// Its properties are the list, so that a key stands in one place.
package protocol SettingKeys: Sendable {
    static var keys: Self { get }
    static var all: [any AnySetting<Self>] { get }
    /// `all` by the names in the object.
    static var entries: [SettingEntry<Self>] { get }
}

extension SettingKeys {
    /// The stored properties of `keys`, in order.
    static func declared(in keys: Self) -> [any AnySetting<Self>] {
        Mirror(reflecting: keys).children.compactMap { $0.value as? any AnySetting<Self> }
    }
}

/// What is done to every setting, whatever its value is.
package protocol AnySetting<Keys>: Sendable {
    associatedtype Keys: SettingKeys
    var path: String { get }
    var meaning: String { get }
    var form: SettingForm { get }
    var isRequired: Bool { get }
    var needsRestart: Bool { get }
    /// The name that the setting has in the file only where the key stands, too.
    var dependencyKey: String? { get }
    /// In words where it depends on something, else the value.
    var standardWords: String? { get }
    var standardValue: OrderedJSON? { get }

    /// - Parameter node: nil where the file does not name the key.
    func read(_ node: JSONNode?, in parent: JSONNode, _ reading: SettingReading, into values: inout SettingValues<Keys>)
        throws
    /// Gives the key its value unless it has been read.
    func fill(_ values: inout SettingValues<Keys>, _ reading: SettingReading) throws
    func checkDependency(_ top: [String: JSONNode]) throws
    /// What `config print` says; nil: nothing, the key is not set.
    func shown(_ values: SettingValues<Keys>) -> OrderedJSON?
    /// Whether the values differ in this key.
    func differs(_ values: SettingValues<Keys>, from old: SettingValues<Keys>) -> Bool
}

extension AnySetting {
    /// The parts of the path: a name, or a section's and a name in it.
    var names: [String] { path.split(separator: ".").map(String.init) }
}

extension Setting: AnySetting {
    package var form: SettingForm { kind.form }
    package var isRequired: Bool { standard.isRequired }
    package var dependencyKey: String? { dependency?.key }
    package var standardWords: String? { standard.words }
    package var standardValue: OrderedJSON? { standard.words == nil ? kind.show(standard.initial) : nil }

    package func read(
        _ node: JSONNode?, in parent: JSONNode, _ reading: SettingReading, into values: inout SettingValues<Keys>
    ) throws {
        guard let node else {
            guard !isRequired else {
                throw ConfigurationError(
                    keyPath: parent.key(names.last ?? path), problem: "missing, expected \(form.expected)")
            }
            return
        }
        if form.isSecret || form.mayNameSource && node.namesSource { values.sources[path] = node.sources }
        do {
            values[self] = try kind.read(node, reading)
        } catch let error as ConfigurationError {
            // It stands in the file: nothing else, such as the environment, stands in for it.
            values[self] = standard.initial
            let isNeeded = reading.need >= neededFor
            let (wrong, leftOut) = error.split { mistake in
                isNeeded ? reading.leavesOut && mistake.isOutOfReach : node.namesSource(at: mistake.keyPath)
            }
            if isNeeded { values.outOfReach += leftOut }
            if let wrong { throw wrong }
        }
    }

    package func fill(_ values: inout SettingValues<Keys>, _ reading: SettingReading) throws {
        guard let derive = standard.derive, !values.isGiven(self) else { return }
        values[self] = try derive(values, reading)
    }

    package func checkDependency(_ top: [String: JSONNode]) throws {
        guard let dependency, let node = top[names[0]], top[dependency.key] == nil else { return }
        throw node.fail(dependency.problem)
    }

    package func shown(_ values: SettingValues<Keys>) -> OrderedJSON? {
        values.sources[path] ?? (form.isSecret ? nil : kind.show(values[self]))
    }

    package func differs(_ values: SettingValues<Keys>, from old: SettingValues<Keys>) -> Bool {
        differs(values[self], old[self])
    }
}

/// What a reading may use beside the file.
package struct SettingReading: Sendable {
    let surroundings: Surroundings
    let need: Configuration.Need
    /// A secret that is out of reach is left out, and told of in `SettingValues.outOfReach`.
    var leavesOut = false
    var files = SecretFiles()

    var environment: [String: String] { surroundings.environment }
}

/// The values of a list of settings, by the names of its properties.
@dynamicMemberLookup
package struct SettingValues<Keys: SettingKeys>: Sendable {
    /// A value as it was put in: a cast to an optional type would take a missing value for nil.
    private struct Box<Value: Sendable>: Sendable { let value: Value }

    private var boxes: [String: any Sendable] = [:]
    /// Where secrets come from, never the secrets.
    fileprivate(set) var sources: [String: OrderedJSON] = [:]
    /// The secrets that were left out, although they are needed.
    fileprivate(set) var outOfReach: [ConfigurationError.Mistake] = []

    fileprivate(set) subscript<Value>(setting: Setting<Keys, Value>) -> Value {
        get { (boxes[setting.path] as? Box<Value>)?.value ?? setting.standard.initial }
        set { boxes[setting.path] = Box(value: newValue) }
    }

    package subscript<Value>(dynamicMember key: KeyPath<Keys, Setting<Keys, Value>>) -> Value {
        self[Keys.keys[keyPath: key]]
    }

    func isGiven(_ setting: some AnySetting<Keys>) -> Bool { boxes[setting.path] != nil }
}

extension SettingValues: Equatable {
    /// Whether both mean the same, wherever their secrets are read from.
    package static func == (a: Self, b: Self) -> Bool {
        !Keys.all.contains { $0.differs(a, from: b) }
    }
}
