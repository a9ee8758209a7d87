import Foundation

/// What the private server writes of itself. The file is bounded: what is beyond `limit` goes, but for the newest part,
/// which is kept beside it as `.1`.
struct ServerLog: Sendable {
    static let limit = 8 << 20
    static let kept = 1 << 20

    let path: String

    private var older: String { path + ".1" }

    var size: Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }

    /// Whether a server has written here.
    var isUsed: Bool { size > 0 || FileManager.default.fileExists(atPath: older) }

    /// The server appends, also after the file was cut.
    func bound() {
        let size = size
        guard size > Self.limit, let file = FileHandle(forUpdatingAtPath: path) else { return }
        defer { try? file.close() }
        // Cut in any case: on a full disk the copy fails.
        defer { try? file.truncate(atOffset: 0) }
        try? file.seek(toOffset: UInt64(size - Self.kept))
        guard let newest = try? file.read(upToCount: Self.kept) else { return }
        _ = FileManager.default.createFile(atPath: older, contents: newest, attributes: [.posixPermissions: 0o600])
    }

    /// What was written since the file had that size, at most the last 1,000 bytes. Errors of statements are left out:
    /// they can quote a message's text.
    func text(since before: Int) -> String {
        guard let file = FileHandle(forReadingAtPath: path) else { return "" }
        defer { try? file.close() }
        try? file.seek(toOffset: UInt64(max(before, size - 1000)))
        let text = String(decoding: (try? file.readToEnd()) ?? Data(), as: UTF8.self)
        return text.split(separator: "\n").filter { !$0.hasPrefix("\t") && !$0.contains("ERROR:") }
            .joined(separator: "\n")
    }
}
