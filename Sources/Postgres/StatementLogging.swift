/// What the server writes into its log of the statements of this connection's role: with their parameters, which are
/// what people wrote. As the role sees it, so with what ALTER ROLE and ALTER DATABASE say.
package struct StatementLogging: Sendable, Equatable {
    /// Of pg_settings; nil: the server does not know the setting.
    package typealias Settings = [String: String]

    private let settings: Settings
    private let role: String

    private static let names = [
        "log_statement", "log_min_duration_statement", "log_min_duration_sample", "log_statement_sample_rate",
        "log_transaction_sample_rate", "log_parameter_max_length", "log_parameter_max_length_on_error",
        "auto_explain.log_min_duration",
    ]

    /// One row for each setting; pg_settings shows numbers without units.
    package static let statement = Statement(
        name: "statement_logging",
        sql: "SELECT name, setting, quote_ident(current_user) AS role FROM pg_settings WHERE name IN ("
            + names.map { "'\($0)'" }.joined(separator: ", ") + ")",
        isPrepared: false)

    package init(_ settings: Settings, role: String) {
        self.settings = settings
        self.role = role
    }

    /// - Parameter rows: of `statement`.
    package init(_ rows: Rows) throws {
        var settings: Settings = [:]
        var role = ""
        for row in rows {
            settings[try row.value("name")] = try row.value("setting", as: String.self)
            role = try row.value("role")
        }
        self.init(settings, role: role)
    }

    /// Each says what is logged, by which settings, and what ends it; for an administrator of the database.
    package var warnings: [String] {
        var warnings: [String] = []
        if !reasons.isEmpty, isOn("log_parameter_max_length") {
            warnings.append(
                "the server logs statements with their parameters, which are what people wrote "
                    + "(\(reasons.joined(separator: ", "))): \(remedy("log_parameter_max_length", "0"))")
        }
        if isOn("log_parameter_max_length_on_error") {
            warnings.append(
                "the server logs the parameters of statements that fail, which are what people wrote "
                    + "(log_parameter_max_length_on_error): \(remedy("log_parameter_max_length_on_error", "0"))")
        }
        if number("auto_explain.log_min_duration").map({ $0 >= 0 }) == true {
            warnings.append(
                "the server logs plans, which may hold what people wrote (auto_explain.log_min_duration): "
                    + remedy("auto_explain.log_min_duration", "-1"))
        }
        return warnings
    }

    /// The settings by which statements are logged.
    private var reasons: [String] {
        var reasons: [String] = []
        if ["all", "mod"].contains(settings["log_statement"]) { reasons.append("log_statement") }
        if number("log_min_duration_statement").map({ $0 >= 0 }) == true {
            reasons.append("log_min_duration_statement")
        }
        if number("log_min_duration_sample").map({ $0 >= 0 }) == true, isOn("log_statement_sample_rate") {
            reasons.append("log_min_duration_sample")
        }
        if isOn("log_transaction_sample_rate") { reasons.append("log_transaction_sample_rate") }
        return reasons
    }

    private func remedy(_ name: String, _ value: String) -> String { "ALTER ROLE \(role) SET \(name) = \(value)" }

    private func number(_ name: String) -> Double? { settings[name].flatMap { Double($0) } }

    private func isOn(_ name: String) -> Bool { number(name).map { $0 != 0 } ?? false }
}
