import Curl
import Foundation
import Lark
import TestSupport

/// A headless Chromium as a phone, driven through WebDriver (W3C Recommendation "WebDriver", with the chromedriver's
/// own endpoint for logs).
struct Browser: Sendable {
    private let driver: PeerProcess
    private let http: HTTPExchange
    private let session: URL

    /// Nothing but loopback can be reached: what a page loads from elsewhere fails, and stands in the log.
    static func start(language: String) async throws -> Browser {
        let port = try PeerProcess.freePort()
        let driver = PeerProcess("/usr/bin/chromedriver", ["--port=\(port)", "--log-level=OFF"])
        guard try await PeerProcess.listening(on: port), let base = URL(string: "http://127.0.0.1:\(port)/session")
        else {
            throw StageError(description: "no chromedriver")
        }
        let http = HTTPExchange(timeout: .seconds(60))
        let metrics: [String: any Sendable] = ["width": 320, "height": 568, "pixelRatio": 2.0, "touch": true]
        let options: [String: any Sendable] = [
            "binary": "/usr/bin/chromium",
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=\(language)",
                // Ends with its driver, however that ends.
                "--remote-debugging-pipe",
                "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
            "mobileEmulation": ["deviceMetrics": metrics],
        ]
        let capabilities: [String: any Sendable] = [
            "goog:chromeOptions": options, "goog:loggingPrefs": ["browser": "ALL", "performance": "ALL"],
        ]
        let answer = try await http.send(
            "POST", base, json: ["capabilities": ["alwaysMatch": capabilities] as [String: any Sendable]])
        guard let id = JSONValue(parsing: String(decoding: answer.body, as: UTF8.self))?["value"]["sessionId"].string
        else {
            await driver.stop()
            throw StageError(description: "no session: \(String(decoding: answer.body, as: UTF8.self).prefix(1000))")
        }
        return Browser(driver: driver, http: http, session: base.appendingPathComponent(id))
    }

    func stop() async {
        _ = try? await http.send("DELETE", session)
        await driver.stop()
    }

    @discardableResult
    private func command(_ method: String, _ path: String, _ json: [String: any Sendable]? = nil) async throws
        -> JSONValue
    {
        let answer = try await http.send(
            method, session.appendingPathComponent(path), json: method == "POST" ? json ?? [:] : nil)
        guard answer.status == 200, let value = JSONValue(parsing: String(decoding: answer.body, as: UTF8.self)) else {
            throw StageError(description: "\(path): \(String(decoding: answer.body, as: UTF8.self).prefix(1000))")
        }
        return value["value"]
    }

    func open(_ url: String) async throws {
        try await command("POST", "url", ["url": url])
    }

    func reload() async throws {
        try await command("POST", "refresh")
    }

    private func element(_ selector: String) async throws -> String {
        let found = try await command("POST", "element", ["using": "css selector", "value": selector])
        guard let id = found["element-6066-11e4-a52e-4f735466cecf"].string else {
            throw StageError(description: "no \(selector)")
        }
        return id
    }

    func type(_ text: String, into selector: String) async throws {
        try await command("POST", "element/\(element(selector))/value", ["text": text])
    }

    func click(_ selector: String) async throws {
        try await command("POST", "element/\(element(selector))/click")
    }

    func text(of selector: String) async throws -> String {
        try await command("GET", "element/\(element(selector))/text").string ?? ""
    }

    func shows(_ text: String) async throws -> Bool {
        try await eventually(within: .seconds(20)) { (try? await self.text(of: "body").contains(text)) ?? false }
    }

    /// - Parameter script: the body of a function, run by the driver: the page's own policy does not hold for it.
    func evaluate(_ script: String) async throws -> JSONValue {
        try await command("POST", "execute/sync", ["script": script, "args": [String]()])
    }

    /// What the page complained of: broken rules of its policy, what could not be loaded.
    func complaints() async throws -> [String] {
        try await command("POST", "se/log", ["type": "browser"]).array.compactMap { $0["message"].string }
    }

    /// What was asked for over the network.
    func requests() async throws -> [String] {
        try await command("POST", "se/log", ["type": "performance"]).array.compactMap { entry in
            guard let message = JSONValue(parsing: entry["message"].string ?? "")?["message"],
                message["method"].string == "Network.requestWillBeSent"
            else { return nil }
            return message["params"]["request"]["url"].string
        }
    }
}
