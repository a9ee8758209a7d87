import Curl
import Testing

@Suite("Who can be reached at an address")
struct AddressScopeTests {
    @Test(
        "this machine, in every form that libcurl takes for it",
        arguments: [
            "127.0.0.1", "127.255.255.254", "127.1", "0x7f000001", "2130706433", "::1", "[::1]", "localhost",
            "LOCALHOST.",
            "a.localhost", "::ffff:127.0.0.1", "0:0:0:0:0:0:0:1",
        ])
    func thisMachine(host: String) {
        #expect(AddressScope(host: host) == .thisMachine)
    }

    @Test(
        "what is no address of the whole internet",
        arguments: [
            "0.0.0.0", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254",
            "100.64.0.1", "100.100.100.200", "198.18.0.1", "192.0.0.192", "224.0.0.1", "255.255.255.255", "::",
            "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe",
            "64:ff9b::a00:1", "2002:a00:1::", "[fd00::1]",
        ])
    func internalNetwork(host: String) {
        #expect(AddressScope(host: host) == .internalNetwork)
    }

    @Test(
        "the internet, and names, which may have any address",
        arguments: [
            ("1.1.1.1", AddressScope.internet), ("9.255.255.255", .internet), ("11.0.0.0", .internet),
            ("172.15.255.255", .internet), ("172.32.0.0", .internet), ("192.169.0.0", .internet),
            ("169.253.0.0", .internet), ("100.128.0.0", .internet), ("128.0.0.1", .internet),
            ("2001:4860::8", .internet),
            ("64:ff9b::101:101", .internet), ("::ffff:1.1.1.1", .internet), ("open.feishu.cn", nil),
            ("127.0.0.1.example", nil), ("localhost.example", nil), ("", nil), ("10.0.0.0.1", nil),
            ("notlocalhost", nil),
        ])
    func others(host: String, scope: AddressScope?) {
        #expect(AddressScope(host: host) == scope)
    }
}
