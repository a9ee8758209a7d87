import Postgres

/// An issue that somebody made with `/issue`.
package struct IssueRow: Sendable, Equatable {
    /// Such as `ACME-12`.
    package let key: String
    package let workspace: String
    package let title: String
    package let description: String
    /// A member's name; of one who is none any more, the open_id.
    package let createdBy: String
    /// RFC 3339.
    package let createdAt: String
    package let age: Duration
}

extension Repository {
    /// The newest first.
    /// - Parameter workspace: nil: of all.
    /// - Parameter key: nil: any.
    package func issues(of workspace: String?, key: String? = nil, limit: Int) async throws -> Listed<IssueRow> {
        try Listed(await run(SQL.listIssues, [.text(workspace), .text(key), .int(Int64(limit))])) { row in
            IssueRow(
                key: try row.value("key"), workspace: try row.value("workspace"), title: try row.value("title"),
                description: try row.value("description"), createdBy: try row.value("created_by"),
                createdAt: try row.value("created_at"), age: .milliseconds(try row.value("age_ms", as: Int64.self)))
        }
    }
}
