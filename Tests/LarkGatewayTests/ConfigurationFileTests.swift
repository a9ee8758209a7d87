import Testing

@testable import lark_gateway

@Suite("The configuration file of a command line")
struct ConfigurationFileTests {
    @Test(
        "what an error's command repeats of it",
        arguments: [
            (["agent", "list"], [:], ""), (["list", "--config", "/a/b.json"], [:], " --config /a/b.json"),
            (["--config=/it's"], [:], " --config '/it'\\''s'"),
            (["--", "--config", "x"], ["LARK_GATEWAY_CONFIG": "/c"], " --config /c"),
            ([], ["LARK_GATEWAY_CONFIG": ""], ""), (["--config", "/a"], ["LARK_GATEWAY_CONFIG": "/c"], " --config /a"),
        ] as [([String], [String: String], String)])
    func options(words: [String], environment: [String: String], option: String) {
        #expect(ConfigurationFile(words: words, environment: environment).option == option)
    }
}
