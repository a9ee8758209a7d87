import AsyncRuntime
import Foundation

/// One line of the report. `ratio` is `value` to `reference`, both of this run.
struct Reading: Codable, Sendable {
    let name: String
    let `case`: String
    let value: Double
    let unit: String
    var reference: Double?
    var ratio: Double?

    init(_ name: Measurement, _ what: String, _ value: Double, _ unit: String, reference: Double? = nil) {
        self.name = name.rawValue
        self.case = what
        self.value = value
        self.unit = unit
        self.reference = reference
        if let reference, reference > 0 { ratio = value / reference }
    }
}

struct Report {
    private struct File: Codable {
        let machine: Machine
        let results: [Reading]
    }

    private let machine: Machine
    private var results: [Reading] = []

    init(machine: Machine) {
        self.machine = machine
    }

    mutating func add(_ result: Reading) {
        results.append(result)
    }

    func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return try encoder.encode(File(machine: machine, results: results))
    }

    static func line(_ result: Reading) -> String {
        var line = pad(result.name, 15) + pad(result.case, 52)
        line += String(repeating: " ", count: max(0, 12 - number(result.value).count)) + number(result.value)
        line += " " + pad(result.unit, 18)
        if let reference = result.reference, let ratio = result.ratio {
            line += "reference \(number(reference)), ratio \(number(ratio))"
        }
        return line
    }

    private static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }

    private static func number(_ value: Double) -> String {
        value >= 100 ? String(Int(value.rounded())) : String(format: "%.2f", value)
    }
}

/// Order statistics of durations, in milliseconds.
struct Percentiles {
    private let sorted: [Double]

    init(_ values: [Duration]) {
        sorted = values.map { $0.seconds * 1e3 }.sorted()
    }

    /// The nearest rank.
    func at(_ share: Double) -> Double {
        guard !sorted.isEmpty else { return .nan }
        return sorted[min(sorted.count - 1, Swift.max(0, Int((share * Double(sorted.count)).rounded(.up)) - 1))]
    }

    var maximum: Double { sorted.last ?? .nan }
}
