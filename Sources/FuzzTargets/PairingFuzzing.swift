import Gateway
import HTTPServer

/// A path, and a form below it.
enum PairingFuzzing {
    static func run(_ bytes: [UInt8]) {
        let parts = bytes.split(separator: UInt8(ascii: "\n"), maxSplits: 1, omittingEmptySubsequences: false)
        let path = String(decoding: parts[0], as: UTF8.self)
        if let link = PairingAddress(path: path)?.link {
            precondition(path.contains("pair/" + link.text), "another link than the path's")
        }
        let request = HTTPRequest(
            method: "POST", path: path, headers: ["content-type": "application/x-www-form-urlencoded"],
            body: parts.count > 1 ? Array(parts[1]) : [])
        guard let text = FormBody.value("code", in: request) else { return }
        precondition(text.utf8.count <= 3 * request.body.count, "a value out of nothing")
        if let code = BindingCode(text) {
            precondition(BindingCode(code.description)?.hash == code.hash, "a code that is not the one it says")
        }
    }
}
