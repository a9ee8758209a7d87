import AsyncRuntime
import Foundation
import TestSupport

/// A file system of a few megabytes that can be filled.
struct SmallDisk {
    let path: String

    static var isPossible: Bool { geteuid() == 0 }

    static func make(mebibytes: Int) async throws -> SmallDisk {
        let path = try TemporaryFolder.make("disk")
        let mount = try await ChildProcess.run(
            "mount", ["-t", "tmpfs", "-o", "size=\(mebibytes)m,mode=700", "tmpfs", path], deadline: .after(.seconds(10))
        )
        guard mount.status == 0 else {
            throw StageError(description: "mount: \(String(decoding: mount.errorOutput, as: UTF8.self))")
        }
        ExitCleanup.addMount(path)
        return SmallDisk(path: path)
    }

    private var ballast: String { path + "/ballast" }

    /// Leaves not one block.
    func fill() throws {
        let file = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw StageError(description: "open: \(String(cString: strerror(errno)))") }
        defer { close(file) }
        for size in [1 << 20, 4096] {
            let block = [UInt8](repeating: 0, count: size)
            while write(file, block, block.count) > 0 {}
        }
    }

    func free() throws {
        try FileManager.default.removeItem(atPath: ballast)
    }

    func remove() async {
        _ = try? await ChildProcess.run("umount", ["-l", path], deadline: .after(.seconds(10)))
    }
}
