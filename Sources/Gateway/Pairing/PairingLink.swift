import Foundation

/// The secret part of a link that pairs one person with one bot, once: 256 random bits from the system.
package struct PairingLink: Sendable, Equatable {
    private static let byteCount = 32
    private let bytes: [UInt8]

    init() {
        bytes = (0..<Self.byteCount).map { _ in UInt8.random(in: .min ... .max) }
    }

    /// - Parameter text: base64url without padding (RFC 4648 section 5); nil when it is no secret of ours.
    init?(_ text: Substring) {
        guard text.utf8.count == 43, !text.contains(where: { "+/=".contains($0) }),
            let data = Data(
                base64Encoded: text.replacing("-", with: "+").replacing("_", with: "/") + "="),
            data.count == Self.byteCount
        else { return nil }
        bytes = Array(data)
        // Two texts must not mean one secret: its last letter has bits to spare.
        guard self.text == text else { return nil }
    }

    package var text: String {
        Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
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
