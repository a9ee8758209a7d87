import Foundation
import Postgres

/// What the figures were measured on.
struct Machine: Codable {
    let cpu: String
    let cores: Int
    let memoryGiB: Int
    let system: String
    let postgres: String
    let settings: [String: String]
    let swift: String
    let build: String
    let isQuick: Bool

    static func describe(_ server: BenchmarkServer, isQuick: Bool) async throws -> Machine {
        let pool = server.pool(size: 1)
        let version: String = try await pool.scalar("SELECT current_setting('server_version')", or: "unknown")
        var settings: [String: String] = [:]
        for name in ["fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size"] {
            settings[name] = try await pool.scalar("SELECT current_setting('\(name)')", or: "unknown")
        }
        await pool.close()
        return Machine(
            cpu: field("model name", in: "/proc/cpuinfo") ?? "unknown",
            cores: ProcessInfo.processInfo.activeProcessorCount,
            memoryGiB: Int((Double(ProcessInfo.processInfo.physicalMemory) / Double(1 << 30)).rounded()),
            system: osName, postgres: version, settings: settings, swift: swiftVersion, build: buildKind,
            isQuick: isQuick)
    }

    var text: String {
        let listed = settings.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        return """
            \(cores) cores (\(cpu)), \(memoryGiB) GiB, \(system), Postgres \(postgres) (\(listed)), Swift \(swift), \
            \(build) build\(isQuick ? ", --quick" : "")
            """
    }

    private static var osName: String {
        guard let text = try? String(contentsOfFile: "/etc/os-release", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("PRETTY_NAME=") })
        else { return ProcessInfo.processInfo.operatingSystemVersionString }
        return line.dropFirst("PRETTY_NAME=".count).trimmingCharacters(in: CharacterSet(charactersIn: "\""))
    }

    private static func field(_ name: String, in path: String) -> String? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix(name) }),
            let value = line.split(separator: ":", maxSplits: 1).last
        else { return nil }
        return value.trimmingCharacters(in: .whitespaces)
    }

    private static var swiftVersion: String {
        #if swift(>=6.4)
            "6.4 or newer"
        #elseif swift(>=6.3)
            "6.3"
        #elseif swift(>=6.2)
            "6.2"
        #else
            "6.1 or older"
        #endif
    }

    private static var buildKind: String {
        #if DEBUG
            "debug"
        #else
            "release"
        #endif
    }
}
