/// What a server shows to its clients. An upgraded connection over TLS is for small messages alone: libmicrohttpd
/// 0.9.75 forwards it four bytes at a time.
package struct TLSIdentity: Sendable {
    /// PEM: its own certificate first, then what leads to its authority.
    package let certificates: String
    /// PEM. A secret.
    package let key: String
    /// GnuTLS's priority string: which versions and ciphers.
    package let priorities: String

    package init(certificates: String, key: String, priorities: String = "NORMAL") {
        self.certificates = certificates
        self.key = key
        self.priorities = priorities
    }
}
