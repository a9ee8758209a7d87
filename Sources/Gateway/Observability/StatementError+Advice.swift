import Postgres

extension StatementError {
    /// What a person can do.
    package var advice: String {
        if let hint { return hint }
        if sqlState == "42501" {
            return "give the role of database_url the rights that README names, or use the role that owns the schema"
        }
        return isLasting
            ? "the schema is missing, or is not this version's: start the gateway, or run lark-gateway migrate"
            : "lark-gateway check says more"
    }
}
