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

    @Test("what is sealed opens again with the same key for the same app, and is different each time")
    func roundTrip() throws {
        for secret in ["s", "", "Grüße 👋", String(repeating: "x", count: 10_000)] {
            let sealed = key.seal(secret, for: "cli_a")
            #expect(try key.open(sealed, for: "cli_a") == secret)
            #expect(sealed != key.seal(secret, for: "cli_a"))
            if secret.count > 4 { #expect(Data(sealed).range(of: Data(secret.utf8)) == nil) }
        }
    }

    @Test("another key, another app, a changed or a shortened text do not open, and the error names the key")
    func refused() throws {
        let sealed = key.seal("secret", for: "cli_a")
        let other = try SealingKey(String(repeating: "0c", count: 32))
        #expect(other.id != key.id)
        #expect(throws: SealingKey.Failure.doesNotOpen(keyID: other.id)) { try other.open(sealed, for: "cli_a") }
        #expect(throws: SealingKey.Failure.doesNotOpen(keyID: key.id)) { try key.open(sealed, for: "cli_b") }
        for index in sealed.indices {
            var changed = sealed
            changed[index] ^= 1
            #expect(throws: SealingKey.Failure.self) { try key.open(changed, for: "cli_a") }
            #expect(throws: SealingKey.Failure.self) { try key.open(Array(sealed[..<index]), for: "cli_a") }
        }
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
