import Foundation
import Testing

@testable import Gateway
@testable import Store

@Suite("Secrets at rest")
struct SealingTests {
    private let key: SealingKey

    init() throws {
        key = try SealingKey(String(repeating: "0b", count: 32))
    }

    private static let lark = "https://open.larksuite.com"

    @Test("what is sealed opens again with the same key for the same app and domain, and is different each time")
    func roundTrip() throws {
        for secret in ["s", "", "Grüße 👋", String(repeating: "x", count: 10_000)] {
            let sealed = key.seal(secret, for: "cli_a", at: Self.lark)
            #expect(try key.open(sealed, for: "cli_a", at: Self.lark) == secret)
            #expect(sealed != key.seal(secret, for: "cli_a", at: Self.lark))
            if secret.count > 4 { #expect(Data(sealed).range(of: Data(secret.utf8)) == nil) }
        }
    }

    @Test(
        "another key, app or domain, a changed or a shortened text do not open, and the error names the key"
    )
    func refused() throws {
        let sealed = key.seal("secret", for: "cli_a", at: Self.lark)
        let other = try SealingKey(String(repeating: "0c", count: 32))
        #expect(other.id != key.id)
        #expect(throws: SealingKey.Failure.doesNotOpen(keyID: other.id)) {
            try other.open(sealed, for: "cli_a", at: Self.lark)
        }
        #expect(throws: SealingKey.Failure.doesNotOpen(keyID: key.id)) {
            try key.open(sealed, for: "cli_b", at: Self.lark)
        }
        for domain in ["https://open.feishu.cn", Self.lark + "/", "http://open.larksuite.com", "https://evil", ""] {
            #expect(throws: SealingKey.Failure.doesNotOpen(keyID: key.id), "\(domain)") {
                try key.open(sealed, for: "cli_a", at: domain)
            }
        }
        // The border between the two is sealed too.
        #expect(throws: SealingKey.Failure.self) {
            try key.open(sealed, for: "cli_ah", at: String(Self.lark.dropFirst()))
        }
        for index in sealed.indices {
            var changed = sealed
            changed[index] ^= 1
            #expect(throws: SealingKey.Failure.self) { try key.open(changed, for: "cli_a", at: Self.lark) }
            #expect(throws: SealingKey.Failure.self) {
                try key.open(Array(sealed[..<index]), for: "cli_a", at: Self.lark)
            }
        }
    }

    @Test("what an older version sealed for no domain opens at the platform's own domains, and nowhere else")
    func firstForm() throws {
        let sealed = key.sealInFirstForm("secret", for: "cli_a")
        #expect(SealingKey.isFirstForm(sealed))
        #expect(!SealingKey.isFirstForm(key.seal("secret", for: "cli_a", at: Self.lark)))
        for domain in ["https://open.feishu.cn", Self.lark] {
            #expect(try key.open(sealed, for: "cli_a", at: domain) == "secret")
            #expect(throws: SealingKey.Failure.self) { try key.open(sealed, for: "cli_b", at: domain) }
        }
        for domain in [
            "http://127.0.0.1:8700", "https://evil.example", "http://open.feishu.cn", "https://open.feishu.cn:444",
            "https://open.feishu.cn.evil.example", "https://open.feishu.cn@evil.example", "",
        ] {
            #expect(throws: SealingKey.Failure.isBoundToNoDomain(keyID: key.firstFormID), "\(domain)") {
                try key.open(sealed, for: "cli_a", at: domain)
            }
        }
        // Nobody makes the one of the other by its first byte.
        var second = key.seal("secret", for: "cli_a", at: "https://evil")
        second[0] = 1
        #expect(throws: SealingKey.Failure.self) { try key.open(second, for: "cli_a", at: Self.lark) }
    }

    @Test("the bytes that an older version stored still open")
    func storedBytes() throws {
        // Version 1, "secret" for cli_a with the key of 32 bytes 0x0b: made with libsodium called from Python.
        let text = "AQABAgMEBQYHCAkKCwwNDg8QERITFBUWF8qGS4xgZNhu4IvGYEa3USbSfNBghkg="
        let sealed = try #require(Data(base64Encoded: text).map(Array.init))
        #expect(try key.open(sealed, for: "cli_a", at: Self.lark) == "secret")
        #expect(key.firstFormID == "6fef61ad" && SealingKeys(current: key).key("6fef61ad") != nil)
        // A replica of that version knows the key by this name, and leaves alone what it can't open.
        #expect(key.id != key.firstFormID)
    }

    @Test("a key is 32 bytes in base64 or hexadecimal; both are the same key")
    func texts() throws {
        let base64 = Data(repeating: 11, count: 32).base64EncodedString()
        #expect(try SealingKey(base64).id == key.id)
        for text in ["", "0b", String(repeating: "0b", count: 31), String(repeating: "0g", count: 32), "secret"] {
            #expect(throws: SealingKey.Failure.notAKey) { try SealingKey(text) }
        }
    }
}
