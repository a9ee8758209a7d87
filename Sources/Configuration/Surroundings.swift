import Foundation

/// What a configuration is read with, beside the file: what systemd gives a service.
package struct Surroundings: Sendable {
    package var environment: [String: String]
    /// The files of the credentials by their names, as the installed unit names them, for where there is no
    /// $CREDENTIALS_DIRECTORY; nil: no unit is known.
    package var credentials: [String: String]?

    package init(environment: [String: String], credentials: [String: String]? = nil) {
        self.environment = environment
        self.credentials = credentials
    }

    /// Of this process alone.
    package static var process: Surroundings { Surroundings(environment: ProcessInfo.processInfo.environment) }

    /// Where a credential is; nil: nobody says so.
    func credential(_ name: String) -> String? {
        environment["CREDENTIALS_DIRECTORY"].map { "\($0)/\(name)" } ?? credentials?[name]
    }
}
