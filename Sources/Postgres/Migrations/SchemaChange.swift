/// One step of bringing a schema up to date.
package enum SchemaChange: Sendable, Equatable, CustomStringConvertible {
    /// There was none: it was made as it stands after this migration.
    case created(migration: Int)
    case migrated(number: Int, name: String)
    /// So many functions got their current text.
    case defined(functions: Int, revision: Int)

    package var description: String {
        switch self {
        case .created(let migration): "schema: new, as of migration \(migration)"
        case .migrated(let number, let name): "migration \(number): \(name)"
        case .defined(let functions, let revision): "functions: \(functions), of revision \(revision)"
        }
    }
}
