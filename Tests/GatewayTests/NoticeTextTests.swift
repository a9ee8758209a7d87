import Lark
import Testing

@testable import Gateway
@testable import Store

@Suite("What the gateway itself says")
struct NoticeTextTests {
    @Test("every notice has its text in both languages")
    func notices() throws {
        for name in Notice.Name.allCases {
            for setAside in [false, true] {
                let payload = #"{"notice": "\#(name.rawValue)", "is_set_aside": \#(setAside)}"#
                let notice = try Notice(payload: #require(JSONValue(parsing: payload)))
                for code in [nil, "C"] {
                    let texts = InstallationSettings.Locale.allCases.map {
                        NoticeText.text(notice, by: "A", in: $0, code: code)
                    }
                    #expect(Set(texts.map(\.body)).count == 2)
                    #expect(texts.allSatisfy { $0.title == "A" && !$0.body.isEmpty })
                }
            }
        }
    }

    @Test("what a person wrote stands in a notice as it is: no sign of it means anything in a card")
    func quoting() {
        let notice = Notice.issueCreated(key: "ACME-1", title: "<at id=all></at> **x** [a](b)")
        let body = NoticeText.text(notice, by: "support", in: .en).body
        #expect(body == "Created ACME-1: &#60;at id=all&#62;&#60;/at&#62; &#42;&#42;x&#42;&#42; &#91;a&#93;(b)")
        let card = OutboundContent.headedCard(title: "support", color: .grey, text: body)
        #expect(
            card.asText
                == .text(
                    MessageText(
                        "support\nCreated ACME-1: <\u{200B}at id=all><\u{200B}/at> **x** [a](b)", mentioning: .nobody)),
            "nor does its text mention anybody")
    }
}
