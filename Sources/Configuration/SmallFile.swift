import Foundation

/// Files that people write. A device or a pipe could be read for ever.
enum SmallFile {
    private static let maxBytes = 4 << 20

    /// - Parameter failure: makes the error from what is wrong.
    static func read(_ path: String, _ failure: (String) -> ConfigurationError) throws -> Data {
        var status = stat()
        guard stat(path, &status) == 0 else { throw failure("it can't be read") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw failure("it is not a file") }
        guard status.st_size <= maxBytes else { throw failure("it is over \(maxBytes >> 20) MiB") }
        guard let data = FileManager.default.contents(atPath: path) else { throw failure("it can't be read") }
        return data
    }
}
