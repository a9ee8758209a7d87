import AsyncRuntime
import Foundation

/// Measures what the gateway promises, in one run on one machine: a table, and with `--json FILE` the same as data.
@main
struct GatewayBenchmark {
    static let usage = """
        usage: gateway-benchmark [--quick] [--json FILE] [NAME...]

        NAME is one of \(Measurement.allCases.map(\.rawValue).joined(separator: ", ")); without one, all of them.
        --quick     smaller, in under two minutes
        --json FILE writes the results as data too

        """

    static func main() async {
        let words = Array(CommandLine.arguments.dropFirst())
        if [ConnectionPeer.word, PlatformPeer.word].contains(words.first), words.count >= 2 {
            do {
                if words[0] == PlatformPeer.word {
                    try await PlatformPeer.serve(portFile: words[1], apps: words.count > 2 ? Int(words[2]) ?? 1 : 1)
                } else {
                    try await ConnectionPeer.serve(
                        portFile: words[1], certificate: words.count > 3 ? words[2] : nil,
                        key: words.count > 3 ? words[3] : nil)
                }
            } catch {
                FileHandle.standardError.write(Data("gateway-benchmark: the peer: \(error)\n".utf8))
            }
            exit(0)
        }
        let options: Options
        do {
            options = try Options(words)
        } catch {
            FileHandle.standardError.write(Data("gateway-benchmark: \(error)\n\(usage)".utf8))
            exit(2)
        }
        do {
            try await run(options)
        } catch {
            FileHandle.standardError.write(Data("gateway-benchmark: \(error)\n".utf8))
            exit(1)
        }
    }

    /// At once, also into a file: a run takes minutes.
    private static func say(_ line: String) {
        // Whoever read it may be gone.
        try? FileHandle.standardOutput.write(contentsOf: Data((line + "\n").utf8))
    }

    private static func run(_ options: Options) async throws {
        let signals = StopSignals()
        let server = try await BenchmarkServer.start()
        let interruption = Task {
            await signals.stop.wait()
            guard signals.stop.isSet else { return }
            await server.stop()
            exit(130)
        }
        defer { interruption.cancel() }
        do {
            let machine = try await Machine.describe(server, isQuick: options.isQuick)
            say(machine.text + "\n")
            var report = Report(machine: machine)
            for measurement in options.measurements {
                for result in try await measurement.run(on: server, isQuick: options.isQuick) {
                    report.add(result)
                    say(Report.line(result))
                }
            }
            if let path = options.jsonPath { try report.json().write(to: URL(fileURLWithPath: path)) }
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }
}

struct Options {
    var isQuick = false
    var jsonPath: String?
    var measurements: [Measurement] = []

    struct Mistake: Error, CustomStringConvertible {
        let description: String
    }

    init(_ words: [String]) throws {
        var rest = words[...]
        while let word = rest.popFirst() {
            switch word {
            case "--quick": isQuick = true
            case "--json":
                guard let path = rest.popFirst() else { throw Mistake(description: "--json needs a FILE") }
                jsonPath = path
            default:
                guard let measurement = Measurement(rawValue: word) else {
                    throw Mistake(description: "there is no measurement \(word)")
                }
                measurements.append(measurement)
            }
        }
        if measurements.isEmpty { measurements = Measurement.allCases }
    }
}

/// What can be measured, by the names of the report.
enum Measurement: String, CaseIterable {
    case ingest
    case latency
    case windows
    case flush
    case claimComplete = "claim/complete"
    case outbox
    case growth
    case decode
    case connections
    case hub

    func run(on server: BenchmarkServer, isQuick: Bool) async throws -> [Reading] {
        switch self {
        case .ingest: try await IngestBenchmark(server: server, isQuick: isQuick).run()
        case .latency: try await LatencyBenchmark(server: server, isQuick: isQuick).run()
        case .windows: await WindowsBenchmark(count: isQuick ? 200_000 : 1_000_000).run()
        case .flush: try await FlushBenchmark(server: server, sessions: isQuick ? 10_000 : 100_000).run()
        case .claimComplete: try await QueueBenchmark(server: server, isQuick: isQuick).run()
        case .outbox: try await OutboxBenchmark(server: server, isQuick: isQuick).run()
        case .growth: try await GrowthBenchmark(server: server, isQuick: isQuick).run()
        case .decode: DecodeBenchmark(events: isQuick ? 20_000 : 200_000).run()
        case .connections: try await ConnectionsBenchmark(isQuick: isQuick).run()
        case .hub: try await HubBenchmark(server: server, isQuick: isQuick).run()
        }
    }
}
