import Foundation
import TestSupport
import Testing

@testable import Configuration
@testable import lark_gateway

@Suite("What the installed unit gives the service")
struct UnitFileTests {
    @Test("assignments add up, an empty one takes back those before it, and sections are told apart")
    func assignments() {
        let unit = UnitFile([
            """
            # comment
            [Unit]
            Description=x
            [Service]
            LoadCredential=a:/a
              LoadCredential = b:/b \t
            ; LoadCredential=c:/c
            ExecStart=/bin/x run \\
            # between the lines
              --config /c.json
            User=one
            nonsense
            """, "[Service]\nLoadCredential=\nLoadCredential=d:/d:e\nUser=\r\n[Install]\nLoadCredential=x:/x",
        ])
        #expect(unit.all("Service.LoadCredential") == ["d:/d:e"])
        #expect(unit.all("Install.LoadCredential") == ["x:/x"])
        #expect(unit.words("Service.ExecStart") == ["/bin/x", "run", "--config", "/c.json"])
        #expect(unit.last("Service.User") == nil && unit.all("Unit.User") == [])
    }

    @Test("any text is taken, in one pass", arguments: ["", "\\", "=", "[", "[]\n=\n", "\\\n\\\n", "[a]\n \\\n#\n=b"])
    func anyText(text: String) {
        _ = UnitFile([text, String(repeating: text, count: 10_000)])
    }

    @Test("the unit that deploy/install installs: user, state directory, credential, configuration file")
    func installed() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(
            contentsOf: root.appendingPathComponent("deploy/lark-gateway.service"), encoding: .utf8)
        let service = InstalledService(UnitFile([text]))
        #expect(service.user == "lark-gateway" && service.stateDirectory == "/var/lib/lark-gateway")
        #expect(service.credentials == ["lark_app_secret": "/etc/lark-gateway/lark_app_secret"])
        #expect(service.configurationPath == "/etc/lark-gateway/config.json")
    }

    @Test("what can't be known without systemd is left out")
    func unknown() {
        let service = InstalledService(
            UnitFile([
                """
                [Service]
                StateDirectory=%p
                User=%i
                LoadCredential=a
                LoadCredential=b:relative
                LoadCredential=c:%d/c
                LoadCredential=d:/d e
                """
            ]))
        #expect(service.stateDirectory == nil && service.user == nil)
        #expect(service.credentials == ["d": "/d e"])
        let named = InstalledService(
            UnitFile(["[Service]\nEnvironment=\"LARK_GATEWAY_CONFIG=/e.json\" A=b\nStateDirectory=x:y z"]))
        #expect(named.configurationPath == "/e.json" && named.stateDirectory == "/var/lib/x")
    }

    @Test("the file in the first of systemd's folders counts, with the drop-ins of all of them, each name once")
    func folders() throws {
        let root = try TemporaryFolder.make("units")
        func write(_ path: String, _ text: String) throws {
            let file = URL(fileURLWithPath: root + path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try text.write(to: file, atomically: true, encoding: .utf8)
        }
        let environment = ["LARK_GATEWAY_UNIT_ROOT": root]
        #expect(InstalledService.find(environment: environment) == nil)
        let unit = "/systemd/system/lark-gateway.service"
        let config = root + "/config.json"
        try write("/usr/lib\(unit)", "[Service]\nUser=vendor\nStateDirectory=vendor")
        #expect(InstalledService.find(environment: environment)?.user == "vendor")
        try write("/etc\(unit)", "[Service]\nUser=own\nLoadCredential=a:/a\nExecStart=/x run --config=\(config)")
        try write("/usr/lib\(unit).d/50-a.conf", "[Service]\nLoadCredential=b:/b")
        try write("/etc\(unit).d/50-a.conf", "[Service]\nLoadCredential=c:/c")
        try write("/run\(unit).d/60-b.conf", "[Service]\nStateDirectory=other\nUser=last")
        try write("/run\(unit).d/70.txt", "[Service]\nUser=no")
        let service = try #require(InstalledService.find(environment: environment))
        #expect(service.user == "last" && service.stateDirectory == "\(root)/var/lib/other")
        #expect(service.credentials == ["a": "/a", "c": "/c"])
        #expect(!service.runs(config), "it is not there")
        try write("/config.json", "{}")
        try FileManager.default.createSymbolicLink(atPath: root + "/link", withDestinationPath: config)
        #expect(service.runs(config) && service.runs(root + "/link") && !service.runs("/etc/passwd"))
    }

    @Test("who must be root is told the whole command, with the file that another shell would not know")
    func asRoot() {
        #expect(ConfigurationFile.asRoot(["agent", "list"], environment: [:]) == "sudo lark-gateway agent list")
        #expect(
            ConfigurationFile.asRoot(["status"], environment: ["LARK_GATEWAY_CONFIG": "/c"])
                == "sudo lark-gateway status --config /c")
        #expect(
            ConfigurationFile.asRoot(["worker", "--runtime", "a b", "--", "x"], environment: [:])
                == "sudo lark-gateway worker --runtime 'a b' -- ...")
    }
}
