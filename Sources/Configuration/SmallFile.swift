import Foundation

/// Files that people write. A device or a pipe could be read for ever.
enum SmallFile {
    private static let maxBytes = 4 << 20

    /// - Parameter failure: makes the error from what is wrong, and from whether another user could read the file.
    static func read(_ path: String, _ failure: (String, Bool) -> ConfigurationError) throws -> Data {
        var status = stat()
        guard stat(path, &status) == 0 else { throw failed(errno, failure) }
        switch status.st_mode & S_IFMT {
        case S_IFREG: break
        case S_IFDIR: throw failure("it is a directory, expected a file", false)
        default: throw failure("it is not a file", false)
        }
        guard status.st_size <= maxBytes else { throw failure("it is over \(maxBytes >> 20) MiB", false) }
        // Opened once more to be read, so that the reason of a refusal is known.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw failed(errno, failure) }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        do {
            // Never more than the bound, also of a file that grows.
            return try file.read(upToCount: maxBytes) ?? Data()
        } catch {
            throw failure("it can't be read", false)
        }
    }

    private static func failed(_ code: Int32, _ failure: (String, Bool) -> ConfigurationError) -> ConfigurationError {
        switch code {
        case ENOENT, ENOTDIR: return failure("there is no such file", false)
        case EACCES, EPERM:
            let name = getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "user \(geteuid())"
            return failure("permission denied: \(name) may not read it", true)
        default: return failure("it can't be read: \(String(cString: strerror(code)))", false)
        }
    }
}
