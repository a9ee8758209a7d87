import AsyncRuntime
import Foundation
import Testing

@testable import Gateway
@testable import Store

/// What Foundation makes of the same bytes is the judge.
@Suite("Secrets as texts")
struct SecretTextTests {
    private let digits = Array("0123456789abcdef")

    private func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { String([digits[Int($0 >> 4)], digits[Int($0 & 15)]]) }.joined()
    }

    private func base64url(_ bytes: [UInt8]) -> String {
        Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    private func randomBytes(_ random: inout SeededGenerator) -> [UInt8] {
        (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    }

    @Test(
        "a key is the same in small letters, in capitals and in base64, whatever its bytes; its id is of small letters")
    func keys() throws {
        var random = SeededGenerator(seed: 13)
        for _ in 0..<500 {
            let bytes = randomBytes(&random)
            let text = hexadecimal(bytes)
            let key = try SealingKey(text)
            let sealed = key.seal("secret", for: "cli_a", at: "https://x")
            for other in [text.uppercased(), Data(bytes).base64EncodedString()] {
                let other = try SealingKey(other)
                #expect(try other.id == key.id && other.open(sealed, for: "cli_a", at: "https://x") == "secret")
            }
            #expect(key.id.count == 8 && key.id.allSatisfy(digits.contains))
        }
        // Of version 0.1.0: keys that are in use keep their names.
        #expect(try SealingKey(String(repeating: "0b", count: 32)).firstFormID == "6fef61ad")
        #expect(try SealingKey(String(repeating: "00", count: 32)).firstFormID == "42caab84")
    }

    @Test("a key with one sign that is no digit, one sign more or less, or something between its digits is refused")
    func noKeys() {
        var random = SeededGenerator(seed: 14)
        let good = hexadecimal(randomBytes(&random))
        for index in good.indices {
            for sign in ["g", " ", "\n", ":", "\0", "é", "\u{FF11}", ""] {
                let bad = good.replacingCharacters(in: index...index, with: sign)
                #expect(throws: SealingKey.Failure.notAKey) { try SealingKey(bad) }
            }
        }
        for bad in [good + "0", good + "00", "0x" + good, " " + good, good + "\n", good + "=", good + "\0"] {
            #expect(throws: SealingKey.Failure.notAKey) { try SealingKey(bad) }
        }
    }

    @Test("a link is read back from its text, and from no other; its text is base64url")
    func links() {
        var random = SeededGenerator(seed: 15)
        for _ in 0..<500 {
            let bytes = randomBytes(&random)
            let text = base64url(bytes)
            let link = PairingLink(Substring(text))
            #expect(link?.text == text && link?.hash == SecretHash(of: bytes))
        }
        let zeros = PairingLink(Substring(String(repeating: "A", count: 43)))
        #expect(zeros?.hash == SecretHash(of: [UInt8](repeating: 0, count: 32)))
        let ones = PairingLink(Substring(String(repeating: "_", count: 42) + "8"))
        #expect(ones?.hash == SecretHash(of: [UInt8](repeating: 255, count: 32)))
    }

    @Test("a link with one sign that is not in its alphabet, padding, or one sign more or less is refused")
    func noLinks() {
        let good = PairingLink().text
        for index in good.indices {
            for sign in ["+", "/", "=", " ", "\n", "\0", "é", ""] {
                #expect(PairingLink(Substring(good.replacingCharacters(in: index...index, with: sign))) == nil)
            }
        }
        for bad in [good + "=", good + "A", good + "\0", "=" + good.dropFirst(), good.dropLast() + "="] {
            #expect(PairingLink(Substring(bad)) == nil)
        }
        // Bits that no byte has.
        for last in "BCDFGHJKLNOPRSTVWXZabdefhijlmnpqrtuvxyz12356790-_" where !"EIMQUYcgkosw048A".contains(last) {
            #expect(PairingLink(Substring(String(good.dropLast()) + String(last))) == nil)
        }
    }

    @Test("no sign beyond ASCII stands for letters of a link, at any place")
    func beyondASCII() {
        var random = SeededGenerator(seed: 16)
        for value in UInt32(0x80)..<0x3000 {
            guard let sign = Unicode.Scalar(value) else { continue }
            let letters = base64url(randomBytes(&random)).dropLast(String(sign).utf8.count)
            let place = letters.index(letters.startIndex, offsetBy: Int.random(in: 0...letters.count, using: &random))
            let text = letters[..<place] + String(sign) + letters[place...]
            #expect(PairingLink(text) == nil, "\(text)")
        }
        // What the search for such paths found: a byte that is no UTF-8 becomes this sign.
        for length in 0...40 {
            let text = String(repeating: "A", count: length) + "\u{FFFD}" + String(repeating: "A", count: 40 - length)
            #expect(PairingLink(Substring(text)) == nil)
        }
    }
}
