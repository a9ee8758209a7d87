import CLibpq

/// What a server keeps of a password. It can be sent in a statement, which a server may log: nobody logs in with it.
package enum PasswordVerifier {
    /// SCRAM-SHA-256 (RFC 5803), with a salt of its own each time.
    /// - Returns: nil where libpq can't make it.
    package static func scram(_ password: String, for role: String) -> String? {
        // libpq asks the server only where no algorithm is named; it needs a connection all the same, and takes a
        // failed one.
        let handle = PQconnectStart("host=/nowhere")
        defer { PQfinish(handle) }
        guard let text = PQencryptPasswordConn(handle, password, role, "scram-sha-256") else { return nil }
        defer { PQfreemem(text) }
        return String(cString: text)
    }
}
