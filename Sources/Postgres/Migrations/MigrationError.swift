/// A schema that this program can't work with.
package enum MigrationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The text of an applied migration is not the one that was applied.
    case edited(number: Int, name: String)
    /// A newer program has changed the tables.
    case unknown(number: Int, name: String)
    /// A newer program has replaced functions. This one does not put its old ones back.
    case olderProgram(revision: Int, databaseRevision: Int)
    /// The database's newest migration is older than any that this program can start from.
    case tooOld(number: Int, baseline: Int)
    /// Other sessions held locks on the tables until the deadline.
    case blocked(String)

    package var description: String {
        switch self {
        case .edited(let number, let name):
            "migration \(number) (\(name)) was edited after it had been applied to this database: "
                + "restore its text, and put the change into a new migration"
        case .unknown(let number, let name):
            "this database has migration \(number) (\(name)), which this version does not know: install the version "
                + "that made it, or a newer one"
        case .olderProgram(let revision, let databaseRevision):
            "this database has the functions of revision \(databaseRevision), and this version has those of revision "
                + "\(revision): it does not put them back. Install the version that replaced them, or a newer one"
        case .tooOld(let number, let baseline):
            "this database's newest migration is \(number), and this version can start from \(baseline): run `migrate` of "
                + "a version whose newest migration is \(baseline) first, then this one"
        case .blocked(let reason):
            "the schema can't be brought up to date, because other sessions use the tables (\(reason)): end long "
                + "transactions (pg_stat_activity shows them), then start again"
        }
    }
}
