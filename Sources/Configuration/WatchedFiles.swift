import Foundation

/// How a file looks without being read: another file of the same name, and one that was written to, look different.
package struct FileMark: Sendable, Equatable {
    private let device: UInt64
    private let node: UInt64
    private let size: Int64
    /// Seconds and nanoseconds: of the content, and of the file's attributes.
    private let times: [Int]

    /// Follows symbolic links: a link that leads to another file now has another mark.
    /// - Returns: nil: there is no such file, or it can't be looked at.
    package init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        node = UInt64(status.st_ino)
        size = Int64(status.st_size)
        times = [
            status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec,
        ]
    }
}

/// Which of some files have changed. Pure: how they look comes in with each call.
///
/// A file that is written in place is empty or half there for a moment. So a file is named when it has looked the same
/// twice, one look after another.
package struct WatchedFiles: Sendable {
    private struct File {
        var seen: FileMark?
        /// How it looked when it was last named; nil: never.
        var named: FileMark??
    }

    private var files: [String: File] = [:]

    package init() {}

    /// - Parameter marks: of all files that are watched from now on, by path; nil: the file is not there.
    /// - Returns: those that are quiet, and look different than when they were last named; each at first.
    package mutating func look(_ marks: [String: FileMark?]) -> [String] {
        var quiet: [String] = []
        var next: [String: File] = [:]
        for (path, mark) in marks {
            guard var file = files[path] else {
                next[path] = File(seen: mark)
                continue
            }
            let isNamed = file.named.map { $0 == mark } ?? false
            if file.seen == mark, !isNamed {
                file.named = .some(mark)
                quiet.append(path)
            }
            file.seen = mark
            next[path] = file
        }
        files = next
        return quiet.sorted()
    }
}
