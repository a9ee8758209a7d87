import Foundation
import TestSupport
import Testing

@testable import Configuration

@Suite("Secrets in files that change")
struct SecretFilesTests {
    private static let key = String(repeating: "ab", count: 32)
    private static let nextKey = String(repeating: "cd", count: 32)

    /// A folder with files, and a configuration that reads its secrets there.
    private struct Place {
        let folder: String

        init(_ files: [String: String]) throws {
            folder = try TemporaryFolder.make("secrets")
            for (name, text) in files { try write(text, to: name) }
        }

        func path(_ name: String) -> String { folder + "/" + name }

        func write(_ text: String, to name: String) throws {
            try text.write(toFile: path(name), atomically: true, encoding: .utf8)
        }

        func configuration(_ text: String) throws -> Configuration {
            try Configuration(
                parsing: Data(text.replacing("@", with: folder + "/").utf8),
                environment: ["CREDENTIALS_DIRECTORY": folder])
        }
    }

    private static let text = #"""
        {"database_url": "file:@database", "sealing": {"key": "file:@key", "previous": ["file:@old"]}, "installations": [
         {"app_id": "cli_1", "app_secret": "file:@one", "workspace": "w", "agent": "a"},
         {"app_id": "cli_2", "app_secret": "file:@two", "workspace": "w", "agent": "a"},
         {"app_id": "cli_3", "app_secret": "file:@two", "workspace": "w", "agent": "a"},
         {"app_id": "cli_4", "app_secret": "credential:four", "workspace": "w", "agent": "a"},
         {"app_id": "cli_5", "app_secret": "literal", "workspace": "w", "agent": "a"}]}
        """#

    private func place() throws -> Place {
        try Place([
            "database": "host=a", "key": Self.key, "old": Self.key, "one": "secret-1", "two": "secret-2",
            "four": "secret-4",
        ])
    }

    @Test("the files of a configuration are those of file:, each with its keys, and whether it needs a restart")
    func files() throws {
        let place = try place()
        let files = try place.configuration(Self.text).secretFiles
        #expect(Set(files.keys) == Set(["database", "key", "old", "one", "two"].map(place.path)))
        #expect(
            files[place.path("two")]?.keys == ["installations[1].app_secret", "installations[2].app_secret"])
        #expect(files[place.path("old")]?.keys == ["sealing.previous[0]"])
        #expect(files.values.filter(\.needsRestart).map(\.keys) == [["database_url"]])
    }

    @Test("what changed is read again and named by its keys; a file that says the same is none that changed")
    func changes() throws {
        let place = try place()
        let old = try place.configuration(Self.text)
        try place.write("secret-2b\n", to: "two")
        try place.write(Self.nextKey, to: "key")
        try place.write("secret-1", to: "one")
        // A credential is systemd's, and the file itself is nobody's to read now.
        try place.write("secret-4b", to: "four")
        let reread = old.reread(old.secretFiles.keys)
        #expect(reread.changed.map(\.path) == ["key", "two"].map(place.path))
        #expect(reread.unusable.isEmpty)
        #expect(
            reread.configuration.installations.map(\.appSecret)
                == ["secret-1", "secret-2b", "secret-2b", "secret-4", "literal"])
        #expect(reread.configuration.sealing.current?.id != old.sealing.current?.id)
        #expect(reread.configuration.appliedKeys(since: old) == ["installations", "sealing.key"])
    }

    @Test("only the files that are named are read; the others count as they were")
    func named() throws {
        let place = try place()
        let old = try place.configuration(Self.text)
        try place.write("secret-1b", to: "one")
        try place.write("secret-2b", to: "two")
        let reread = old.reread([place.path("one"), "/no/file/of/it"])
        #expect(reread.configuration.installations.map(\.appSecret).prefix(2) == ["secret-1b", "secret-2"])
    }

    @Test("a file that is gone, empty or no key keeps its old secret, is named with what is wrong, and stops no other")
    func unusable() throws {
        let place = try place()
        let old = try place.configuration(Self.text)
        try FileManager.default.removeItem(atPath: place.path("one"))
        try place.write(" \n", to: "two")
        try place.write("s3cret, no key", to: "key")
        try place.write("s3cret, no address", to: "database")
        try place.write(Self.nextKey, to: "old")
        let reread = old.reread(old.secretFiles.keys)
        #expect(reread.changed.map(\.path) == [place.path("old")])
        #expect(reread.unusable.map(\.file.path) == ["database", "key", "one", "two"].map(place.path))
        let problems = reread.unusable.map(\.problem)
        #expect(problems[1].contains("not 32 bytes"))
        #expect(problems.suffix(2) == ["there is no such file", "it is empty"])
        #expect(!problems.joined().contains("s3cret"))
        #expect(reread.configuration.installations.map(\.appSecret) == old.installations.map(\.appSecret))
        #expect(reread.configuration.databaseURL == "host=a")
        #expect(reread.configuration.sealing.current?.id == old.sealing.current?.id)
        #expect(reread.configuration.sealing.all.map(\.id) != old.sealing.all.map(\.id))
    }

    @Test("credentials are unchanged while each is what it was; without any, nothing is said of them")
    func credentials() throws {
        let place = try place()
        let old = try place.configuration(Self.text)
        #expect(try place.configuration(Self.text).hasUnchangedCredentials(since: old))
        try place.write("secret-4b", to: "four")
        #expect(try !place.configuration(Self.text).hasUnchangedCredentials(since: old))
        #expect(try !place.configuration("{}").hasUnchangedCredentials(since: old))
    }

    @Test("a file is named at first, and when it looks different, once it has looked the same twice")
    func watching() throws {
        let place = try Place(["a": "1", "b": "2", "c": "3"])
        let marks = ["a", "b", "c"].map { FileMark(path: place.path($0)) }
        let (a, b, c) = (marks[0], marks[1], marks[2])
        #expect(a != nil && a != b && FileMark(path: place.path("d")) == nil)
        var watched = WatchedFiles()
        #expect(watched.look(["x": a, "y": b]) == [])
        #expect(watched.look(["x": a, "y": b]) == ["x", "y"])
        #expect(watched.look(["x": a, "y": b]) == [])
        // Being written.
        #expect(watched.look(["x": b, "y": b]) == [])
        #expect(watched.look(["x": c, "y": b]) == [])
        #expect(watched.look(["x": c, "y": b]) == ["x"])
        #expect(watched.look(["x": c, "y": b]) == [])
        // Gone, for a moment and for good.
        #expect(watched.look(["x": nil, "y": b]) == [])
        #expect(watched.look(["x": c, "y": nil]) == [])
        #expect(watched.look(["x": c, "y": nil]) == ["y"])
        #expect(watched.look(["x": c, "y": nil]) == [])
        // Not watched any more, and watched again.
        #expect(watched.look(["x": c]) == [])
        #expect(watched.look(["x": c, "y": b]) == [])
        #expect(watched.look(["x": c, "y": b]) == ["y"])
    }

    @Test("a mark changes with what is written, with another file of the same name, and with where a link leads")
    func marks() throws {
        let place = try Place(["a": "1", "b": "1"])
        let first = FileMark(path: place.path("a"))
        #expect(FileMark(path: place.path("a")) == first)
        try place.write("22", to: "a")
        let second = FileMark(path: place.path("a"))
        #expect(second != first)
        try FileManager.default.createSymbolicLink(
            atPath: place.path("link"), withDestinationPath: place.path("a"))
        #expect(FileMark(path: place.path("link")) == second)
        try FileManager.default.createSymbolicLink(
            atPath: place.path("next"), withDestinationPath: place.path("b"))
        #expect(rename(place.path("next"), place.path("link")) == 0)
        #expect(FileMark(path: place.path("link")) == FileMark(path: place.path("b")))
    }
}
