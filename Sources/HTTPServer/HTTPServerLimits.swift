/// What the clients of a server may take of it.
package struct HTTPServerLimits: Sendable {
    /// A request with more is answered 413. 0: one that announces a body is answered at once, and nothing of the body
    /// is kept.
    package var maxBodyBytes = 16 << 20
    /// Of all clients; who comes then waits until one has gone.
    package var maxConnections = 4_096
    /// Of one address; what comes beyond is closed at once. 0: no bound of its own.
    package var maxConnectionsPerAddress = 0
    /// A connection on which nothing moves for so long is closed; whole seconds.
    package var idleSeconds = 60
    /// From a connection's beginning, or the answer before, to the last byte of the next request, however the bytes are
    /// spread; then the connection is closed. nil: as long as bytes come.
    package var requestPatience: Duration?

    package init() {}
}
