import Foundation
import HTTPServer

/// Reads what a form sent (application/x-www-form-urlencoded; source: the WHATWG URL Standard, section 5.1).
package enum FormBody {
    /// - Returns: the first value of this name; nil when there is none, or when the body is no form.
    package static func value(_ name: String, in request: HTTPRequest) -> String? {
        let type = (request.headers["content-type"] ?? "").lowercased().utf8
        guard
            type.prefix(while: { $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: " ") })
                .elementsEqual("application/x-www-form-urlencoded".utf8)
        else { return nil }
        let query = String(
            decoding: request.body.flatMap { $0 == UInt8(ascii: "+") ? Array("%20".utf8) : [$0] }, as: UTF8.self)
        return URLComponents(string: "?" + query)?.queryItems?.first { $0.name == name }.map { $0.value ?? "" }
    }
}
