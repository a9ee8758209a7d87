import Foundation

/// A file of the configuration that others on the machine may read or change, and should not. What
/// `deploy/install` makes, 0640 with the group of the service, is none.
package struct ExposedFile: Sendable, Equatable {
    package let path: String
    /// Such as "everybody on this machine may read it, and it holds secrets".
    package let problem: String
    /// A command of the shell.
    package let remedy: String

    /// - Parameter holdsSecrets: where not, reading it is no harm.
    /// - Returns: nil: the file is not exposed, or can't be looked at.
    init?(path: String, holdsSecrets: Bool) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        // In a folder that others can't enter they can't reach it.
        let others = Self.isReachable(path) ? status.st_mode : 0
        let quoted = "'\(path.replacing("'", with: "'\\''"))'"
        self.path = path
        if others & S_IWOTH != 0 || status.st_mode & S_IWGRP != 0 {
            problem = others & S_IWOTH != 0 ? "everybody on this machine may change it" : "its group may change it"
            remedy = holdsSecrets ? "chmod g-w,o= \(quoted)" : "chmod go-w \(quoted)"
        } else if holdsSecrets, others & S_IROTH != 0 {
            problem = "everybody on this machine may read it, and it holds secrets"
            remedy = "chmod o= \(quoted)"
        } else {
            return nil
        }
    }

    /// Whether everybody may enter each folder above the file.
    private static func isReachable(_ path: String) -> Bool {
        var folder = URL(fileURLWithPath: path).resolvingSymlinksInPath().deletingLastPathComponent().path
        while folder != "/", !folder.isEmpty {
            var status = stat()
            guard stat(folder, &status) == 0 else { return true }
            guard status.st_mode & S_IXOTH != 0 else { return false }
            folder = (folder as NSString).deletingLastPathComponent
        }
        return true
    }
}

extension Configuration {
    /// Looks at the file itself and at the files that hold its secrets.
    /// - Parameter path: of the file.
    package func exposedFiles(of path: String, in surroundings: Surroundings = .process) -> [ExposedFile] {
        var files = [ExposedFile(path: path, holdsSecrets: holdsSecrets)]
        var seen: Set<String> = []
        for source in secretSources {
            guard let file = Secret.file(source, in: surroundings), seen.insert(file).inserted else { continue }
            files.append(ExposedFile(path: file, holdsSecrets: true))
        }
        return files.compactMap(\.self)
    }
}
