import CLibsodium
import Foundation
import Store

/// The secret part of a link that pairs one person with one bot, once: 256 random bits from the system.
package struct PairingLink: Sendable, Equatable {
    private static let byteCount = 32
    /// base64url without padding (RFC 4648, section 5): 43 letters.
    private static let alphabet = sodium_base64_VARIANT_URLSAFE_NO_PADDING
    private let bytes: [UInt8]

    init() {
        bytes = (0..<Self.byteCount).map { _ in UInt8.random(in: .min ... .max) }
    }

    /// - Parameter text: base64url without padding (RFC 4648 section 5); nil when it is no secret of ours.
    init?(_ text: Substring) {
        // Longer ones are not read.
        guard text.utf8.count == 43 else { return nil }
        var bytes = [UInt8](repeating: 0, count: Self.byteCount)
        var count = 0
        guard
            sodium_base642bin(
                &bytes, bytes.count, String(text), text.utf8.count, nil, &count, nil, Self.alphabet) == 0,
            count == Self.byteCount
        else { return nil }
        self.bytes = bytes
        // Two texts never mean one secret. libsodium refuses spare bits in the last letter, and reads some bytes beyond
        // ASCII as letters.
        guard self.text == text else { return nil }
    }

    package var text: String {
        // With a zero byte at its end. In a shorter one libsodium would end the process.
        var text = [CChar](repeating: 0, count: sodium_base64_encoded_len(bytes.count, Self.alphabet))
        sodium_bin2base64(&text, text.count, bytes, bytes.count, Self.alphabet)
        return String(decoding: text.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    var hash: SecretHash { SecretHash(of: bytes) }

    /// What the page shows for `member approve`: it follows from the link, so that it stands nowhere, and does not lead
    /// back to it.
    var approvalCode: BindingCode {
        BindingCode(from: SecretHash(of: Array("lark-gateway approval code".utf8) + bytes))
    }

    /// - Parameter page: where people reach this gateway (`public_url`).
    func url(under page: URL) -> String {
        let base = page.absoluteString
        return (base.hasSuffix("/") ? String(base.dropLast()) : base) + "/pair/" + text
    }
}
