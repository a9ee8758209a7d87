import Foundation

/// The daemon of the version before this one, which `scripts/previous` makes.
enum PreviousVersion {
    static let executable = ProcessInfo.processInfo.environment["LARK_GATEWAY_PREVIOUS"].flatMap {
        $0.isEmpty ? nil : $0
    }
}
