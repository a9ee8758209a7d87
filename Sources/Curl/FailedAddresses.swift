import AsyncRuntime

/// Which addresses of a host took a connection and then gave no answer: libcurl, which knows only whether an address
/// can be connected to, would begin with the same one each time. Pure: time comes from outside.
struct FailedAddresses: Sendable {
    private var hosts: [String: [String: ContinuousClock.Instant]] = [:]

    /// After this it is tried in its order again.
    private static let lasts: Duration = .seconds(600)
    private static let mostHosts = 256

    /// Those that are not to be tried before all others.
    func avoided(of host: String, _ now: ContinuousClock.Instant) -> Set<String> {
        Set((hosts[host] ?? [:]).filter { $0.value + Self.lasts > now }.keys)
    }

    mutating func failed(_ address: String, of host: String, _ now: ContinuousClock.Instant) {
        if hosts.count >= Self.mostHosts {
            hosts = hosts.filter { $0.value.values.contains { $0 + Self.lasts > now } }
        }
        guard hosts.count < Self.mostHosts || hosts[host] != nil else { return }
        hosts[host, default: [:]][address] = now
    }

    mutating func answered(_ address: String, of host: String) {
        hosts[host]?[address] = nil
        if hosts[host]?.isEmpty == true { hosts[host] = nil }
    }

    /// No other one could be connected to: the next attempts begin anew.
    mutating func forget(_ host: String) {
        hosts[host] = nil
    }
}

/// What is known of the addresses of hosts, for all connections of a kind.
package final class AddressMemory: Sendable {
    private let failures = Mutex(FailedAddresses())

    package init() {}

    package func failed(_ address: String?, of route: Route) {
        guard let address else { return }
        failures.withLock { $0.failed(address, of: route.key, .now) }
    }

    package func answered(_ address: String?, of route: Route) {
        guard let address else { return }
        failures.withLock { $0.answered(address, of: route.key) }
    }

    func avoided(of route: Route) -> Set<String> {
        failures.withLock { $0.avoided(of: route.key, .now) }
    }

    func forget(_ route: Route) {
        failures.withLock { $0.forget(route.key) }
    }
}

/// A host, and the proxy that may stand before it: its addresses are the ones that are connected to then.
package struct Route: Sendable {
    package let host: String
    let proxy: Proxy?

    package init(to host: String, isSecure: Bool, settings: NetworkSettings) {
        self.host = host
        proxy = isSecure ? settings.proxies.https : settings.proxies.http
    }

    fileprivate var key: String { "\(host) \(proxy?.address ?? "")" }

    /// What is connected to at this port is the proxy, as far as can be told: `no_proxy` is libcurl's to read, and a
    /// host in it that has the proxy's port counts as the proxy.
    func isProxy(port: Int) -> Bool { proxy?.port == port }

    /// The host, with the address that was tried.
    package func words(_ address: String?) -> String {
        telling(address).map { "\(host) (\($0))" } ?? host
    }

    /// An address that says more than the host. Through a proxy it would be the proxy's.
    func telling(_ address: String?) -> String? {
        guard let address, proxy == nil, address != host, "[\(address)]" != host else { return nil }
        return address
    }
}
