import Foundation

/// The domain of an installation's row, for people to read. Whoever can write the database can write anything there: a
/// password in it is not repeated, and no text is longer than 100 characters.
package enum DomainText {
    package static func shown(_ domain: String) -> String {
        guard let url = URL(string: domain), let scheme = url.scheme, let host = url.host, url.user == nil else {
            return "no address that can be shown"
        }
        return String("\(scheme)://\(host)\(url.port.map { ":\($0)" } ?? "")".prefix(100))
    }
}
