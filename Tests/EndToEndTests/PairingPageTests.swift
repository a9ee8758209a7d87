import Foundation
import Lark
import LarkSimulator
import TestSupport
import Testing

/// A stranger's way from the prompt to the first answer, through a real browser.
@Suite("The pairing page in a browser")
struct PairingPageTests {
    struct Words: Sendable, CustomTestStringConvertible {
        let locale: String
        let prompt: String
        let form: String
        let wrong: String
        let done: String
        let waiting: String
        let told: String

        var testDescription: String { locale }
    }

    static let english = Words(
        locale: "en", prompt: "I don't know you yet", form: "Connect with support", wrong: "Tries left: 4.",
        done: "You are Ann of acme", waiting: "Waiting for an administrator", told: "You are connected, as Ann of acme")
    static let chinese = Words(
        locale: "zh", prompt: "我还不认识你", form: "绑定 support", wrong: "剩余次数：4", done: "你是 acme 的 Ann", waiting: "等待管理员批准",
        told: "绑定成功：你是 acme 的 Ann")

    private struct Way: Sendable {
        let stage: Stage
        let configuration: String
        let daemon: Daemon
        let browser: Browser
        let words: Words

        /// A gateway whose pages are served where its links lead.
        init(_ words: Words) async throws {
            stage = try await Stage()
            let port = try PeerProcess.freePort()
            configuration = stage.configuration(
                access: "pairing",
                extra: #", "public_url": "http://127.0.0.1:\#(port)", "pairing": {"listen": "127.0.0.1:\#(port)"}"#
            ).replacing(#""access": "pairing""#, with: #""access": "pairing", "locale": "\#(words.locale)""#)
            daemon = try await stage.start(configuration)
            browser = try await Browser.start(language: words.locale)
            self.words = words
        }

        func member(_ arguments: String...) async throws -> String {
            let command = try Daemon(["member"] + arguments + ["--config", try Daemon.file(configuration)])
            #expect(await command.ended() == 0, "\(command.output)")
            return command.output
        }

        /// The link of the prompt that a stranger gets.
        func link(for person: String) async throws -> String {
            let before = await stage.simulator.sentMessages.count
            await stage.say("let me in", in: "oc_p", from: person)
            let prompt = try #require(await stage.sent(before + 1).last)
            #expect(prompt.receiver == person && prompt.content.contains(words.prompt))
            let card = try #require(JSONValue(parsing: prompt.content))
            #expect(card["header"]["template"].string == "blue")
            let button = try #require(card["body"]["elements"].array.first { $0["tag"].string == "button" })
            return try #require(button["behaviors"].array.first?["default_url"].string)
        }

        /// What holds for every page.
        func checkPage() async throws {
            let widths = try await browser.evaluate(
                "return [document.documentElement.scrollWidth, window.innerWidth, document.scripts.length].join(' ')")
            #expect(widths.string == "320 320 0", "all of it is seen on a phone, and nothing of it is a script")
        }

        func end() async throws {
            let complaints = try await browser.complaints()
            #expect(complaints.allSatisfy { $0.contains("status of 422") }, "\(complaints)")
            let requests = try await browser.requests()
            #expect(!requests.isEmpty)
            #expect(requests.allSatisfy { $0.hasPrefix("http://127.0.0.1:") || $0.hasPrefix("data:") }, "\(requests)")
            await browser.stop()
            await stage.end(daemon)
        }
    }

    @Test("an invitation's code, mistyped once, lets the stranger in", arguments: [english, chinese])
    func invitation(words: Words) async throws {
        let way = try await Way(words)
        let code = String(try await way.member("invite", "Ann", "--workspace", "acme").prefix { $0 != "\n" })
        let link = try await way.link(for: "ou_new")
        try await way.browser.open(link)
        #expect(try await way.browser.shows(words.form))
        try await way.checkPage()
        try await way.browser.type("00000-00000", into: "#code")
        try await way.browser.click("button")
        #expect(try await way.browser.shows(words.wrong))
        try await way.checkPage()
        try await way.browser.type(code.lowercased().replacing("-", with: " "), into: "#code")
        try await way.browser.click("button")
        #expect(try await way.browser.shows(words.done))
        try await way.checkPage()
        #expect(
            try await way.browser.evaluate("return location.href").string == link,
            "loading it again sends nothing twice")
        try await way.browser.reload()
        #expect(try await way.browser.shows(words.done))

        let told = try #require(await way.stage.sent(2).last)
        #expect(told.receiver == "ou_new" && told.content.contains(words.told))
        await way.stage.say("hello", in: "oc_p", from: "ou_new")
        #expect(
            try await eventually {
                try await way.stage.rows("SELECT content FROM gateway.chat_message WHERE role = 'user'") == ["(hello)"]
            })
        let log = way.daemon.output
        let secret = try #require(link.split(separator: "/").last)
        #expect(!log.contains(code) && !log.contains(secret))
        #expect(try await way.daemon.logged("pairing.bound").count == 1)
        try await way.end()
    }

    @Test(
        "without a code the page waits for the administrator, and learns of the approval by itself",
        arguments: [english, chinese])
    func approval(words: Words) async throws {
        let way = try await Way(words)
        try await way.browser.open(try await way.link(for: "ou_new"))
        try await way.browser.click("main > p:last-child > a")
        #expect(try await way.browser.shows(words.waiting))
        try await way.checkPage()
        let code = try await way.browser.text(of: "#approval")
        #expect(try await way.member("approve", code, "--name", "Ann", "--yes").contains("is now member Ann"))
        #expect(try await way.browser.shows(words.done))
        try await way.end()
    }
}
