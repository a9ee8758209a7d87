import Curl
import Foundation
import Gateway
import Postgres
import Store

extension SettingKind where Value == String {
    /// Not checked in libpq's words: they quote the text, and a password with it.
    static var connection: Self {
        .secret { text, node in
            guard ConnectionText.isValid(text) else {
                throw node.fail("neither a postgresql:// URI nor libpq's keyword=value text")
            }
        }
    }

    /// A system user who becomes a role of the private Postgres.
    static var userName: Self {
        Self(
            "system user", schema: [("type", "string"), ("pattern", "^[a-z_][a-z0-9_-]{0,31}$")],
            read: { node, _ in
                let text = try node.string()
                guard WorkerDoors.isUserName(text) else {
                    throw node.fail(
                        "found \(quoted(text)), expected a system user (small letters, digits, _ and -), neither root nor "
                            + "a name that the private Postgres uses itself")
                }
                return text
            }, show: { .string($0) })
    }

    /// Of a file with certificates (PEM).
    static var certificates: Self {
        let path = SettingKind<String>.text("path")
        return Self(
            path.form.words, schema: path.form.schema,
            read: { node, _ in
                let path = try node.string()
                let data = try SmallFile.read(path) { problem, _ in node.fail(problem) }
                guard String(decoding: data, as: UTF8.self).contains("-----BEGIN CERTIFICATE-----") else {
                    throw node.fail("the file holds no certificate (PEM)")
                }
                return path
            }, show: path.show)
    }

    /// One entry of `no_proxy`.
    static var proxyException: Self {
        Self(
            "host, network or `\"*\"`",
            schema: [("type", "string"), ("pattern", #"^[^,\s]+$"#)],
            read: { node, _ in
                let text = try node.string()
                guard !text.contains(where: { $0 == "," || $0.isWhitespace }) else {
                    throw node.fail("found several in one text, expected one host or network")
                }
                return text
            }, show: { .string($0) })
    }

    /// Where an installation's platform is; `platformURL` tells its address.
    static var domain: Self {
        Self(
            "`\"feishu\"`, `\"lark\"`, http(s) URL",
            schema: [
                ("type", "string"),
                ("anyOf", [["enum": ["feishu", "lark"]], ["pattern": "^https?://[^/?#@:][^/?#@]*([/?#].*)?$"]]),
            ],
            read: { node, _ in
                let text = try node.string()
                guard platformURL(text) != nil else {
                    throw node.fail("found \(quoted(text)), expected \"feishu\", \"lark\" or an http(s) URL")
                }
                return text
            }, show: { .string($0) })
    }

    static var appID: Self {
        Self(
            "text of letters, digits, `_` and `-`",
            schema: [("type", "string"), ("pattern", "^[A-Za-z0-9_-]+$")],
            read: { node, _ in
                let text = try node.string()
                guard AppID.isValid(text) else {
                    throw node.fail("expected the app id of the developer console, such as cli_...")
                }
                return text
            }, show: { .string($0) })
    }
}

enum AppID {
    /// As the developer console gives them out.
    static func isValid(_ text: String) -> Bool {
        text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "_-".contains($0)) }
    }
}

extension SettingKind where Value == SealingKey {
    static var sealingKey: Self {
        .secret(literal: "[0-9A-Fa-f]{64}|[A-Za-z0-9+/]{43}=") { text, node in
            do throws(SealingKey.Failure) {
                return try SealingKey(text)
            } catch {
                throw node.fail("\(error)")
            }
        }
    }
}

extension SettingKind where Value == Proxies {
    /// The scheme in letters of any size, as `Proxy` reads it.
    private static var proxyPattern: String {
        #"(([Hh][Tt][Tt][Pp]|[Ss][Oo][Cc][Kk][Ss]5[Hh]?)://)?[^/?#\s]+/?"#
    }

    /// Without exceptions. It may hold a password, which is not shown.
    static var proxy: Self {
        var kind = Self(
            "proxy, secret or `null`",
            schema: [
                ("type", ["string", "null"]),
                ("pattern", .string("^(\(Secret.referencePattern)|(?!\(Secret.prefixPattern))\(proxyPattern))$")),
            ],
            read: { node, reading in
                guard !node.isNull else { return Proxies() }
                let text = try Secret.resolve(node, reading)
                do throws(Proxy.Malformed) {
                    return Proxies(try Proxy(text), exceptions: [])
                } catch {
                    throw node.fail("found \(error)")
                }
            }, show: { ($0.https ?? $0.http).map { .string($0.address) } ?? .null })
        kind.form.mayNameSource = true
        return kind
    }
}

extension SettingKind where Value == ListenAddress {
    static var listenAddress: Self {
        Self(
            "IPv4 `address:port`", schema: [("type", "string"), ("pattern", .string("^\(ListenAddress.pattern)$"))],
            read: { node, _ in try ListenAddress(node) }, show: { .string("\($0.host):\($0.port)") })
    }
}

extension SettingKind where Value == URL {
    /// Where people reach something: a scheme, a host and a path at most.
    static var address: Self {
        Self(
            "http(s) URL", schema: [("type", "string"), ("pattern", "^https?://[^/?#@:][^/?#@]*(/[^?#]*)?$")],
            read: { node, _ in
                let text = try node.string()
                guard let url = httpURL(text), url.query == nil, url.fragment == nil else {
                    throw node.fail(
                        "found \(quoted(text)), expected an http(s) URL such as \"https://bots.example.com\"")
                }
                return url
            }, show: { .string($0.absoluteString) })
    }
}

extension URL {
    /// What goes there leaves this machine, and anybody on the way can read it.
    var isInClear: Bool { scheme?.lowercased() == "http" && AddressScope(host: host ?? "") != .thisMachine }
}

/// - Parameter domain: `feishu`, `lark` or a URL.
func platformURL(_ domain: String) -> URL? {
    switch domain {
    case "feishu": httpURL("https://open.feishu.cn")
    case "lark": httpURL("https://open.larksuite.com")
    default: httpURL(domain)
    }
}

/// What was found instead of an address. A password in it is not repeated.
private func quoted(_ text: String) -> String {
    text.contains("@") ? "an address with a user or an @" : QuotedValue.of(text)
}

/// - Returns: nil unless the text is a URL of http or https with a host, and without a user.
private func httpURL(_ text: String) -> URL? {
    guard let url = URL(string: text), let scheme = url.scheme, ["http", "https"].contains(scheme),
        url.host?.isEmpty == false, url.user == nil, url.password == nil
    else { return nil }
    return url
}
