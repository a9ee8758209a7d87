import Foundation
import TestSupport
import Testing

@testable import Worker

@Suite("S26: what a worker reads takes work as its bytes", .serialized)
struct LinearOutputTests {
    @Test("what an agent's command prints")
    func output() async {
        #expect(await LinearWork.complaints({ Data($0.text($1).utf8) }) { _ = CommandOutput.reply($0) } == [])
        let received = await LinearWork.complaints({ Array($0.text($1).utf8)[...] }) { bytes in
            var output = CommandOutput()
            _ = output.receive(bytes)
        }
        #expect(received == [])
    }
}
