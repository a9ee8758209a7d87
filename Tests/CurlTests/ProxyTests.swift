import Testing

@testable import Curl

@Suite("Proxies, as configuration and environment name them")
struct ProxyTests {
    @Test("a URL of a proxy, with and without its parts")
    func parsing() throws {
        let whole = try Proxy("http://ann:p%40ss@proxy.example:3128")
        #expect((whole.scheme, whole.host, whole.port) == (.http, "proxy.example", 3128))
        #expect((whole.user, whole.password) == ("ann", "p@ss"))
        #expect(whole.address == "http://proxy.example:3128")
        #expect(try Proxy("proxy.example").address == "http://proxy.example:1080")
        #expect(try Proxy("socks5h://[::1]:9050/").address == "socks5h://[::1]:9050")
        #expect(try Proxy("SOCKS5://10.0.0.1").address == "socks5://10.0.0.1:1080")
    }

    @Test(
        "what names no proxy is refused, in words without its password",
        arguments: [
            "", "http://", "ftp://proxy:1", "https://proxy:1", "http://:secret@proxy:1", "http://u:secret@proxy:99999",
            "http://u:secret@proxy/path", "socks4://u:secret@proxy", "http://u:secret@proxy?x=1",
        ])
    func malformed(text: String) {
        let error = #expect(throws: Proxy.Malformed.self) { try Proxy(text) }
        #expect(error?.description.contains("secret") == false)
    }

    @Test("the environment's variables, in curl's order")
    func environment() throws {
        let proxies = try Proxies(environment: [
            "https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:2", "HTTP_PROXY": "http://never:3",
            "ALL_PROXY": "socks5://c:4", "NO_PROXY": "localhost, 10.0.0.0/8",
        ])
        #expect(proxies.https?.address == "http://a:1")
        #expect(proxies.http?.address == "socks5://c:4")
        #expect(proxies.exceptions == ["localhost", "10.0.0.0/8"])
        #expect(try Proxies(environment: ["https_proxy": ""]) == Proxies())
    }

    @Test("a variable that names no proxy is named itself, and its text is not")
    func malformedVariable() {
        let error = #expect(throws: Proxies.MalformedVariable.self) {
            try Proxies(environment: ["https_proxy": "gopher://u:secret@h"])
        }
        #expect(error?.name == "https_proxy")
        #expect(error?.problem.contains("secret") == false)
    }
}
