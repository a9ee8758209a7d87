import Curl
import Foundation
import Lark
import Testing

@testable import Gateway
@testable import Store

@Suite("Which app calls the platform for an installation")
struct AppDirectoryTests {
    private let installation = InstallationID(rawValue: 1)

    private func client(_ appID: String) -> OpenAPIClient {
        OpenAPIClient(
            domain: URL(fileURLWithPath: "/"), appID: appID, appSecret: "s",
            http: HTTPExchange(timeout: .milliseconds(100)))
    }

    @Test("an installation that is connected has a client, until its lease is gone")
    func inserted() {
        let apps = AppDirectory()
        let lease = Lease(installation: installation, generation: 1)
        #expect(apps.client(of: installation) == nil)
        apps.insert(client("cli_a"), under: lease)
        #expect(apps.client(of: installation) != nil)
        apps.remove(lease)
        #expect(apps.client(of: installation) == nil)
    }

    @Test("the end of an older lease does not take away the client of the newer one")
    func newer() {
        let apps = AppDirectory()
        let older = Lease(installation: installation, generation: 1)
        let newer = Lease(installation: installation, generation: 2)
        apps.insert(client("cli_a"), under: older)
        apps.insert(client("cli_a"), under: newer)
        apps.remove(older)
        #expect(apps.client(of: installation) != nil)
        apps.remove(newer)
        #expect(apps.client(of: installation) == nil)
    }
}
