import Postgres
import TestSupport
import Testing

@Suite("What an error of Postgres says")
struct StatementErrorTests {
    @Test(
        "an error of classes 22 and 23 says its code and constraint, and nothing of the row: not in DETAIL, not in MESSAGE"
    )
    func quoting() async throws {
        let pool = Pool(url: try await TestPostgres.makeEmptyDatabase(), size: 1)
        try await pool.run(
            """
            CREATE TABLE t (a text CONSTRAINT t_once UNIQUE, b int CONSTRAINT t_few CHECK (b < 9), c varchar(4),
                d text NOT NULL DEFAULT '')
            """)
        try await pool.run("INSERT INTO t (a) VALUES ('hidden-word')")
        let refused: [(code: String, constraint: String?, sql: String)] = [
            ("23505", "t_once", "INSERT INTO t (a) VALUES ('hidden-word')"),
            ("23514", "t_few", "INSERT INTO t (a, b) VALUES ('hidden-word 2', 9)"),
            ("23502", nil, "INSERT INTO t (a, d) VALUES ('hidden-word 3', NULL)"),
            ("22001", nil, "INSERT INTO t (a, c) VALUES ('x', 'hidden-word')"),
            ("22P02", nil, "SELECT 'hidden-word'::int"), ("22P02", nil, #"SELECT '{"a": hidden-word}'::jsonb"#),
            ("22007", nil, "SELECT 'hidden-word'::timestamptz"),
            ("22023", nil, "SELECT set_config('work_mem', 'hidden-word', true)"),
        ]
        for (code, constraint, sql) in refused {
            let error = await #expect(throws: PostgresError.self) { try await pool.run(sql) }
            guard case .statement(let refusal) = error else {
                Issue.record("\(sql): \(String(describing: error))")
                continue
            }
            #expect(refusal.sqlState == code && refusal.constraint == constraint, "\(sql): \(refusal)")
            #expect("\(refusal)".contains("test: SQLSTATE \(code)"))
            #expect(error.map { !"\($0)".contains("hidden") } == true, "\(refusal)")
        }
        await pool.close()
    }
}
