import Testing

@testable import Store

@Suite("The name of a sealing key")
struct SealingKeyTests {
    @Test("it is the same in every version, since rows are found by it, and no part of the key")
    func id() throws {
        // The first 32 bits of BLAKE2b-256, keyed with the key, of a label; Python:
        // hashlib.blake2b(b"lark-gateway key id 2", key=b"\x0b" * 32, digest_size=32).hexdigest()[:8]
        let key = try SealingKey(String(repeating: "0b", count: 32))
        #expect(key.id == "700abc65")
        // Of the first form: without the 2.
        #expect(key.firstFormID == "6fef61ad")
        #expect(throws: SealingKey.Failure.noLibrary) {
            try SealingKey(String(repeating: "0b", count: 32), library: -1)
        }
        let other = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
        #expect(try !other.contains(SealingKey(other).id))
    }
}
