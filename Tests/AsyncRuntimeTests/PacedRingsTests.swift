import AsyncRuntime
import Testing

@Suite("Rings that come in a flood")
struct PacedRingsTests {
    @Test("the first is handed on at once, and all that come before the pause is over are one more of each name")
    func flood() async {
        let rings = PacedRings<String>()
        let handed = Mutex([String]())
        let (paused, goOn) = (AsyncEvent(), AsyncEvent())
        let handing = Task {
            await rings.run(pause: { _ in
                paused.set()
                await goOn.wait()
            }) { name in handed.withLock { $0.append(name) } }
        }
        rings.ring("a")
        await paused.wait()
        for _ in 0..<10_000 {
            rings.ring("a")
            rings.ring("b")
        }
        #expect(handed.withLock { $0 } == ["a"])
        goOn.set()
        while handed.withLock({ $0.count }) < 3 { await Task.yield() }
        #expect(handed.withLock { $0.sorted() } == ["a", "a", "b"])
        handing.cancel()
        await handing.value
        #expect(handed.withLock { $0.count } == 3)
    }
}
