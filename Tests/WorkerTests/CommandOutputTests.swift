import Foundation
import Testing

@testable import Worker

@Suite("What an agent's command prints")
struct CommandOutputTests {
    private let printed = """
        {"progress": "reading"}
        The answer,
        {"progress":"writing \\"it\\""}
        {"progress": 7}
        {"progress": "x", "more": 1}
        in lines.

        """

    @Test("lines of progress are no part of the reply; what only looks like them is")
    func reply() {
        #expect(
            CommandOutput.reply(Data(printed.utf8))
                == "The answer,\n{\"progress\": 7}\n{\"progress\": \"x\", \"more\": 1}\nin lines.")
        #expect(CommandOutput.reply(Data("a\0b\n\n".utf8)) == "a\u{FFFD}b")
        #expect(CommandOutput.reply(Data()) == "")
        #expect(CommandOutput.reply(Data("  code\n".utf8)) == "  code")
        // A line without an end is a line.
        #expect(CommandOutput.reply(Data(#"{"progress": "x"}"#.utf8)) == "")
    }

    @Test("they are told as they come, however the bytes are cut")
    func pieces() {
        let bytes = Array(printed.utf8)
        for size in [1, 2, 7, bytes.count] {
            var output = CommandOutput()
            var found: [String] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                found += output.receive(bytes[start..<min(bytes.count, start + size)])
            }
            #expect(found == ["reading", "writing \"it\""])
        }
        var output = CommandOutput()
        let long = Array("{\"progress\": \"\(String(repeating: "x", count: 20_000))\"}\n{\"progress\":\"y\"}\n".utf8)
        #expect(output.receive(long[...]) == ["y"], "what is too long is part of the reply")
    }
}
