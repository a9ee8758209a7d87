import AsyncRuntime
import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// One HTTP request and its answer, by URLSession.
package struct HTTPExchange: Sendable {
    package struct Answer: Sendable {
        package let status: Int
        /// Names in lower case.
        package let headers: [String: String]
        package let body: Data
    }

    /// No HTTP answer came. The URL is not in it: its query may be a secret.
    package struct Failure: Error, Sendable, CustomStringConvertible {
        package let host: String
        package let reason: String

        package var description: String { "no answer from \(host): \(reason)" }
    }

    private let session: URLSession
    private let timeout: Duration

    /// - Parameter timeout: of a request as a whole.
    package init(timeout: Duration = .seconds(10)) {
        let configuration = URLSessionConfiguration.ephemeral
        configuration.httpCookieStorage = nil
        configuration.urlCache = nil
        configuration.timeoutIntervalForRequest = timeout.seconds
        configuration.timeoutIntervalForResource = timeout.seconds
        configuration.httpMaximumConnectionsPerHost = 16
        session = URLSession(configuration: configuration)
        self.timeout = timeout
    }

    /// - Throws: `Failure`, `DeadlineExceeded`, `CancellationError`.
    package func send(
        _ method: String, _ url: URL, headers: [String: String] = [:], json: [String: any Sendable]? = nil
    ) async throws -> Answer {
        var request = URLRequest(url: url)
        request.httpMethod = method
        if let json {
            request.httpBody = try JSONSerialization.data(withJSONObject: json, options: [.sortedKeys])
            request.setValue("application/json; charset=utf-8", forHTTPHeaderField: "Content-Type")
        }
        for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
        let host = url.host ?? "?"
        do {
            // URLSession's own time-out starts anew with every byte on Linux.
            return try await withDeadline(.after(timeout), operation: "\(method) to \(host)") { [session, request] in
                let (body, response) = try await session.data(for: request)
                guard let response = response as? HTTPURLResponse else {
                    throw Failure(host: host, reason: "no HTTP")
                }
                var headers: [String: String] = [:]
                for (name, value) in response.allHeaderFields { headers["\(name)".lowercased()] = "\(value)" }
                return Answer(status: response.statusCode, headers: headers, body: body)
            }
        } catch let error as URLError {
            try Task.checkCancellation()
            throw Failure(host: host, reason: error.localizedDescription)
        }
    }
}
