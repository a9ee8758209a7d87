import Testing

@testable import Gateway

@Suite("Metrics")
struct MetricsTests {
    @Test("counters and gauges are OpenMetrics text")
    func text() {
        let metrics = Metrics()
        metrics.add(to: .messages, "ingested")
        metrics.add(2, to: .messages, "ingested")
        metrics.set(.openWindows, to: 5)
        let text = metrics.openMetrics()
        #expect(text.contains("# TYPE lark_gateway_messages counter\n"))
        #expect(text.contains("lark_gateway_messages_total{verdict=\"ingested\"} 3\n"))
        #expect(text.contains("lark_gateway_open_windows 5\n"))
        #expect(text.contains("lark_gateway_flush_failures_total 0\n"))
        #expect(text.hasSuffix("# EOF\n"))
    }
}
