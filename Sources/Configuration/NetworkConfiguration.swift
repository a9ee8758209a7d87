import Curl
import Foundation
import Gateway
import Lark

extension NetworkSettings {
    /// | key | type | default | meaning |
    /// | --- | --- | --- | --- |
    /// | `ca_file` | path | none | certificates (PEM) that are trusted beside the system's |
    /// | `proxy` | URL, secret or null | `https_proxy` and its like | `http://`, `socks5://` or `socks5h://`; null: none |
    /// | `no_proxy[]` | host, `.domain`, network or `*` | `no_proxy` | reached without a proxy |
    init(_ node: JSONNode?, environment: [String: String]) throws {
        self.init()
        let keys = try node?.object(keys: ["ca_file", "proxy", "no_proxy"]) ?? [:]
        if let node = keys["ca_file"] { caFile = try Self.certificates(node) }
        if let node = keys["proxy"] {
            let exceptions = Proxies.exceptions(environment: environment)
            proxies = try Self.proxy(node, environment).map { Proxies($0, exceptions: exceptions) } ?? Proxies()
        } else {
            do throws(Proxies.MalformedVariable) {
                proxies = try Proxies(environment: environment)
            } catch {
                throw ConfigurationError(
                    keyPath: "network.proxy", problem: "the environment's \(error.name) is \(error.problem)")
            }
        }
        if let node = keys["no_proxy"] {
            proxies.exceptions = try node.array().map { node in
                let text = try node.string()
                guard !text.contains(where: { $0 == "," || $0.isWhitespace }) else {
                    throw node.fail("found several in one text, expected one host or network")
                }
                return text
            }
        }
    }

    private static func certificates(_ node: JSONNode) throws -> String {
        let path = try node.string()
        let data = try SmallFile.read(path) { node.fail("\(path): \($0)") }
        guard String(decoding: data, as: UTF8.self).contains("-----BEGIN CERTIFICATE-----") else {
            throw node.fail("\(path) holds no certificate (PEM)")
        }
        return path
    }

    private static func proxy(_ node: JSONNode, _ environment: [String: String]) throws -> Proxy? {
        guard !node.isNull else { return nil }
        let text = try Secret.resolve(node, environment: environment)
        do throws(Proxy.Malformed) {
            return try Proxy(text)
        } catch {
            throw node.fail("found \(error)")
        }
    }
}

extension LongConnectionSettings {
    /// | key | type | default | meaning |
    /// | --- | --- | --- | --- |
    /// | `handshake_timeout` | duration | 15s | from the first address tried to the end of the upgrade |
    /// | `pong_timeout` | duration | 30s | nothing for so long after a ping ends the connection |
    /// | `read_timeout` | duration | 6m | nothing for so long ends it, whatever was sent |
    /// | `max_frame`, `max_message` | size | 16MiB | what is larger ends it with 1009 |
    init(_ node: JSONNode) throws {
        self.init()
        let keys = try node.object(keys: [
            "handshake_timeout", "pong_timeout", "read_timeout", "max_frame", "max_message",
        ])
        handshakeTimeout = try keys["handshake_timeout"]?.duration() ?? handshakeTimeout
        rules.pongPatience = try keys["pong_timeout"]?.duration() ?? rules.pongPatience
        rules.readPatience = try keys["read_timeout"]?.duration() ?? max(rules.readPatience, rules.pongPatience)
        guard rules.readPatience >= rules.pongPatience else {
            throw node.fail("read_timeout is shorter than pong_timeout")
        }
        let range = 64 << 10...1 << 30
        let message = try keys["max_message"]?.byteCount(in: range)
        let frame = try keys["max_frame"]?.byteCount(in: range)
        webSocket.limits.maxMessageBytes = message ?? max(webSocket.limits.maxMessageBytes, frame ?? 0)
        webSocket.limits.maxFrameBytes = frame ?? webSocket.limits.maxMessageBytes
        guard webSocket.limits.maxFrameBytes <= webSocket.limits.maxMessageBytes else {
            throw node.fail("max_frame is larger than max_message")
        }
    }
}
