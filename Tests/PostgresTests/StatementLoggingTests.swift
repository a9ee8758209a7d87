import Testing

@testable import Postgres

@Suite("What the server logs of statements")
struct StatementLoggingTests {
    /// The server's own defaults.
    private static let standard: StatementLogging.Settings = [
        "log_statement": "none", "log_min_duration_statement": "-1", "log_min_duration_sample": "-1",
        "log_statement_sample_rate": "1", "log_transaction_sample_rate": "0", "log_parameter_max_length": "-1",
        "log_parameter_max_length_on_error": "0",
    ]

    private func warnings(_ changes: StatementLogging.Settings) -> [String] {
        StatementLogging(Self.standard.merging(changes) { $1 }, role: "gateway").warnings
    }

    @Test("nothing is said of a server that logs no statements, or logs them without parameters")
    func quiet() {
        #expect(warnings([:]).isEmpty)
        #expect(warnings(["log_statement": "ddl"]).isEmpty)
        #expect(warnings(["log_statement": "all", "log_parameter_max_length": "0"]).isEmpty)
        #expect(warnings(["log_min_duration_sample": "0", "log_statement_sample_rate": "0"]).isEmpty)
        #expect(warnings(["auto_explain.log_min_duration": "-1"]).isEmpty)
        #expect(StatementLogging([:], role: "gateway").warnings.isEmpty, "a server that shows none of them")
    }

    @Test(
        "each way by which parameters come into the log is named, with the line that ends it",
        arguments: [
            ("log_statement", "all", "log_parameter_max_length = 0"),
            ("log_statement", "mod", "log_parameter_max_length = 0"),
            ("log_min_duration_statement", "0", "log_parameter_max_length = 0"),
            ("log_min_duration_statement", "250", "log_parameter_max_length = 0"),
            ("log_min_duration_sample", "0", "log_parameter_max_length = 0"),
            ("log_transaction_sample_rate", "0.01", "log_parameter_max_length = 0"),
            ("log_parameter_max_length_on_error", "-1", "log_parameter_max_length_on_error = 0"),
            ("log_parameter_max_length_on_error", "64", "log_parameter_max_length_on_error = 0"),
            ("auto_explain.log_min_duration", "0", "auto_explain.log_min_duration = -1"),
        ])
    func said(name: String, value: String, remedy: String) {
        let found = warnings([name: value])
        #expect(found.count == 1)
        #expect(found.first?.contains("(\(name))") == true, "\(found)")
        #expect(found.first?.hasSuffix("ALTER ROLE gateway SET \(remedy)") == true, "\(found)")
    }
}
