import Foundation
import HTTPServer

/// Reads what a form sent (application/x-www-form-urlencoded; source: the WHATWG URL Standard, section 5.1).
package enum FormBody {
    /// - Returns: the first value of this name; nil when there is none, or when the body is no form.
    package static func value(_ name: String, in request: HTTPRequest) -> String? {
        let type = (request.headers["content-type"] ?? "").lowercased().prefix { $0 != ";" && $0 != " " }
        guard type == "application/x-www-form-urlencoded" else { return nil }
        let query = String(decoding: request.body, as: UTF8.self).replacing("+", with: "%20")
        return URLComponents(string: "?" + query)?.queryItems?.first { $0.name == name }.map { $0.value ?? "" }
    }
}
