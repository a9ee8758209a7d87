import AsyncRuntime
import Foundation
import HTTPServer
import Lark
import TestSupport
import Testing

@testable import Gateway
@testable import Store

/// The values behind the pairing page.
@Suite("Links, codes and pages of pairing")
struct PairingTests {
    @Test("a link's secret has one text, which leads back to it; nothing else does")
    func links() throws {
        for _ in 0..<1_000 {
            let link = PairingLink()
            #expect(PairingLink(Substring(link.text)) == link)
            #expect(
                link.text.count == 43
                    && link.text.allSatisfy { $0.isASCII && $0.isLetter || $0.isNumber || "-_".contains($0) })
            #expect(PairingLink(Substring(link.text.dropLast() + "=")) == nil)
            #expect(PairingLink(Substring(link.text + "A")) == nil)
            // The last letter carries four bits of the secret and two of nothing.
            let others = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".filter {
                PairingLink(Substring(link.text.dropLast() + String($0)))?.text.dropLast() == link.text.dropLast()
            }
            #expect(others.count == 16)
        }
        #expect(PairingLink("") == nil && PairingLink(Substring(String(repeating: "é", count: 43))) == nil)
        #expect(Set((0..<1_000).map { _ in PairingLink().text }).count == 1_000)
    }

    @Test("a code is read as people type it, and what can't be one is refused")
    func codes() throws {
        let code = BindingCode()
        let typed = try #require(BindingCode(" " + code.description.lowercased().replacing("-", with: " ")))
        #expect(typed.hash == code.hash)
        #expect(code.description.wholeMatch(of: /([0-9A-Z]{4}-){3}[0-9A-Z]{4}/) != nil)
        #expect(BindingCode("12345") == nil && BindingCode("ILOU1-23456") == nil)
        #expect(BindingCode("7K2QF-0MXYZ1") == nil && BindingCode("7K2Q-F0MX-YZ23-45ABC") == nil)
        #expect(BindingCode("oO0il-lI1ab")?.description == "00011-111AB")
    }

    @Test(
        "the code that a page shows follows from the link, is one that people can type, and differs from link to link")
    func approvalCodes() {
        let codes = (0..<1_000).map { _ in
            let link = PairingLink()
            #expect(link.approvalCode.description == link.approvalCode.description)
            #expect(BindingCode(link.approvalCode.description)?.hash == link.approvalCode.hash)
            return link.approvalCode.description
        }
        #expect(Set(codes).count == 1_000)
        #expect(Set(codes.joined()).count == 33, "all of the alphabet, and the dash")
    }

    @Test("what is stored of a short code is of no use without the key, which is derived for codes alone")
    func keyedHashes() throws {
        let (key, other) = (
            try SealingKey(String(repeating: "0b", count: 32)), try SealingKey(String(repeating: "0c", count: 32))
        )
        let code = BindingCode.short()
        #expect(code.description.wholeMatch(of: /[0-9A-Z]{5}-[0-9A-Z]{5}/) != nil)
        let typed = try #require(BindingCode(code.description))
        #expect(typed.hash(with: key) == code.hash(with: key))
        #expect(code.hash(with: key) != code.hash && code.hash(with: key) != code.hash(with: other))
        // By Python's hashlib: BLAKE2b of the letters, keyed with crypto_kdf's first subkey of "invitecd".
        #expect(
            try #require(BindingCode("00011-111AB")).hash(with: key).bytes.map { String(format: "%02x", $0) }.joined()
                == "67027a78613039c895be98e2c6bd651f4cd614d4ea053713a81e356c4f44e24e")
        let keys = SealingKeys(current: other, previous: [key])
        #expect(code.hashes(with: keys) == [code.hash(with: other), code.hash(with: key), code.hash])
        #expect(code.hashes(with: SealingKeys()) == [code.hash])
    }

    @Test("80 bits of a link's hash make its code; the code that an older version stored is the beginning of it")
    func approvalBits() throws {
        let hash = try #require(SecretHash(stored: (0..<32).map { UInt8($0) }))
        // 00000 00000 00000 10000 00100 00000 11000 00100 00000 10100 00011 00000 01110 00010 00000 01001
        #expect(BindingCode(from: hash).description == "000G-40R4-0M30-E209")
        #expect(
            BindingCode(from: hash).approvalHashes
                == [BindingCode(from: hash).hash, try #require(BindingCode("000G4-0R40M")).hash])
        #expect(try #require(BindingCode("000G4-0R40M")).approvalHashes.count == 1)
    }

    @Test("the address of a link stands below public_url, with or without a slash at its end")
    func addresses() throws {
        let link = PairingLink()
        for text in ["https://example.com/lark", "https://example.com/lark/"] {
            let page = try #require(URL(string: text))
            #expect(link.url(under: page) == "https://example.com/lark/pair/\(link.text)")
            #expect(URL(string: link.url(under: page)) != nil)
        }
        #expect(PairingAddress(path: "/pair/\(link.text)") == PairingAddress(path: "/lark/pair/\(link.text)"))
        #expect(PairingAddress(path: "/pair/\(link.text)")?.link == link)
        #expect(PairingAddress(path: "/pair/\(link.text)/wait")?.isWaiting == true)
        #expect(PairingAddress(path: "/pair/pair")?.link == nil)
        for path in [
            "", "/", "/pair", "/metrics", "/pair/\(link.text)/x", "/pair/\(link.text)/wait/x", "/pair/\(link.text)/",
        ] {
            #expect(PairingAddress(path: path) == nil, "\(path)")
        }
    }

    @Test("where a card with a button is refused, its text has the link")
    func cardAsText() {
        let card = OutboundContent.linkCard(
            title: "support", color: .blue, text: "Connect&#42;", button: "Go", url: "https://e.com/pair/x")
        #expect(card.asText == .text(MessageText("support\nConnect*\nGo: https://e.com/pair/x", mentioning: .nobody)))
        #expect(
            card.json.contains(
                #"{"behaviors":[{"default_url":"https://e.com/pair/x","type":"open_url"}],"tag":"button""#))
    }

    @Test("hashes are equal where all of their bytes are, and are compared by all of them")
    func hashes() throws {
        let hash = SecretHash(of: Array("secret".utf8))
        #expect(hash == SecretHash(of: Array("secret".utf8)))
        #expect(SecretHash(stored: hash.bytes) == hash)
        for index in hash.bytes.indices {
            var bytes = hash.bytes
            bytes[index] ^= 1
            #expect(try #require(SecretHash(stored: bytes)) != hash)
        }
        #expect(SecretHash(stored: Array(hash.bytes.dropLast())) == nil)
    }

    @Test("twenty wrong guesses within a minute are a client's last; others go on, and it does again later")
    func guesses() {
        var guesses = WrongGuesses()
        let begin = ContinuousClock.now
        for index in 0..<20 {
            #expect(guesses.wait(of: "a", begin + .seconds(index)) == nil)
            guesses.record("a", begin + .seconds(index))
        }
        #expect(guesses.wait(of: "a", begin + .seconds(20)) == .seconds(40))
        #expect(guesses.wait(of: "b", begin + .seconds(20)) == nil)
        guesses.record("a", begin + .seconds(20))
        #expect(guesses.wait(of: "a", begin + .seconds(60)) == nil)
    }

    @Test("a million clients do not cost the memory of a million")
    func manyClients() {
        var guesses = WrongGuesses()
        let begin = ContinuousClock.now
        for index in 0..<50_000 {
            guesses.record("\(index)", begin)
            #expect(guesses.clientCount <= 10_000)
        }
    }

    private func form(_ body: String, type: String = "application/x-www-form-urlencoded") -> HTTPRequest {
        HTTPRequest(method: "POST", path: "/pair/x", headers: ["content-type": type], body: Array(body.utf8))
    }

    @Test("a form is read as browsers send it")
    func forms() {
        #expect(FormBody.value("code", in: form("code=7K2QF-0MXYZ")) == "7K2QF-0MXYZ")
        #expect(FormBody.value("code", in: form("a=b&code=7k2qf+0mxyz%0A&code=other")) == "7k2qf 0mxyz\n")
        #expect(
            FormBody.value("code", in: form("code=", type: "Application/X-WWW-Form-Urlencoded; charset=UTF-8")) == "")
        #expect(FormBody.value("code", in: form("code")) == "")
        #expect(FormBody.value("code", in: form("")) == nil)
        #expect(FormBody.value("code", in: form("code=x", type: "multipart/form-data")) == nil)
        #expect(FormBody.value("code", in: form("codex=1&xcode=2")) == nil)
    }

    private static func link(_ name: String, _ locale: InstallationSettings.Locale) -> PairingLinkState {
        PairingLinkState(
            state: .open, appID: "cli_1", openID: "ou_1", agent: name, workspace: name, locale: locale, member: nil,
            triesLeft: 4)
    }

    private static func views(_ link: PairingLinkState, _ name: String) -> [PairingView] {
        let problems: [PairingView.Problem] = [
            .notACode, .wrongCode, .invitationUsed, .invitationExpired, .wrongPerson, .memberTaken,
        ]
        let endings: [PairingView.Ending] = [
            .unknown, .used, .expired, .blocked, .revoked, .tooManyRequests, .unavailable, .badRequest,
        ]
        return [.form(link, nil), .waiting(link, approvalCode: "7K2QF-0MXYZ"), .done(link, member: name)]
            + problems.map { .form(link, $0) } + endings.map { .ended($0) }
    }

    @Test(
        "each page has words of its own in its language, and what a name holds stays text",
        arguments: InstallationSettings.Locale.allCases)
    func pages(locale: InstallationSettings.Locale) throws {
        let name = #"<script>alert("x" & 'y')</script>"#
        var bodies: Set<String> = []
        for view in Self.views(Self.link(name, locale), name) {
            let response = PairingPage.response(view, locale, link: PairingLink())
            let html = String(decoding: response.body, as: UTF8.self)
            #expect(!html.contains("<script") && !html.contains("http://") && !html.contains("https://"))
            #expect(html.contains(locale == .zh ? #"<html lang="zh-CN">"# : #"<html lang="en">"#))
            let words = html.replacing(/<style>.*<\/style>/.dotMatchesNewlines(), with: "").replacing(
                /<[^>]*>/, with: ""
            )
            .replacing(/&[a-z0-9#]+;/, with: "")
            #expect(words.contains(/\p{Script=Han}/) == (locale == .zh), "\(words)")
            bodies.insert(words)
            let policy = try #require(response.headers["Content-Security-Policy"])
            #expect(policy.hasPrefix("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"))
            #expect(policy.contains("frame-ancestors 'none'"))
            #expect(response.headers["Referrer-Policy"] == "no-referrer")
            #expect(response.headers["Cache-Control"] == "no-store")
        }
        #expect(bodies.count == Self.views(Self.link(name, locale), name).count, "no two say the same")
    }
}
