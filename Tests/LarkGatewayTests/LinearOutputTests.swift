import Output
import TestSupport
import Testing

@Suite("S26: what the commands print takes work as its bytes", .serialized)
struct LinearOutputTests {
    @Test("a table with long cells")
    func cells() async {
        #expect(
            await LinearWork.complaints({ $0.text($1) }) { _ = Table.lines(["A", "B"], [["a", $0], [$0, "b"]]) } == [])
    }

    @Test("a table of many rows, and its columns are as wide as their widest cell")
    func rows() async {
        let rows = await LinearWork.complaint({ bytes in (0..<(bytes / 16)).map { ["name \($0)", "ou_\($0)"] } }) {
            _ = Table.lines(["NAME", "ID"], $0)
        }
        #expect(rows == nil)
        let lines: [TerminalText] = ["A     BCD", "語    x  ", "long  y  "]
        #expect(Table.lines(["A", "BCD"], [["語", "x"], ["long", "y"]]) == lines)
    }
}
