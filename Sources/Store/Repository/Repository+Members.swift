import AsyncRuntime
import Postgres

/// One line of `member list`.
package struct MemberStatus: Sendable {
    package let workspace: String
    package let name: String
    /// Empty: invited, and no member yet.
    package let origin: String
    package let bots: Int
    /// How long an invitation to become this member is good yet; nil: there is none.
    package let invitedFor: Duration?
}

extension Repository {
    /// Members, and who is invited, by name.
    package func members(limit: Int) async throws -> Listed<MemberStatus> {
        try Listed(await run(SQL.listMembers, [.int(Int64(limit))])) { row in
            MemberStatus(
                workspace: try row.value("workspace"), name: try row.value("name"), origin: try row.value("origin"),
                bots: try row.value("bots"),
                invitedFor: try row.optional("invited_for_ms").map { (ms: Int64) in .milliseconds(ms) })
        }
    }

    /// Ends a membership, and takes back every invitation of that name.
    package func removeMember(
        _ name: String, from workspace: String
    ) async throws -> (wasMember: Bool, wasInvited: Bool) {
        guard let row = try await run(SQL.removeMember, [.text(workspace), .text(name)]).first else {
            throw PostgresError.unexpectedResult("remove_member: no row")
        }
        return (try row.value("was_member"), try row.value("was_invited"))
    }
}
