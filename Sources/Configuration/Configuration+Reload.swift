extension Configuration {
    /// The keys whose values differ from `old`, and are read at the start alone.
    package func keysForRestart(since old: Configuration) -> [String] {
        let changes: [(String, Bool)] = [
            ("database_url", databaseURL != old.databaseURL), ("pooler_url", poolerURL != old.poolerURL),
            ("state_directory", stateDirectory != old.stateDirectory),
            ("transport", transport != old.transport), ("network", network != old.network),
            ("long_connection", longConnection != old.longConnection), ("batching", batching != old.batching),
            ("send_limits", sendLimits != old.sendLimits), ("lease", lease != old.lease),
            ("shutdown_timeout", shutdownTimeout != old.shutdownTimeout),
            ("log", log != old.log), ("metrics", metrics != old.metrics),
            ("public_url", publicURL != old.publicURL), ("pairing", pairing != old.pairing),
        ]
        return changes.filter(\.1).map(\.0)
    }
}
