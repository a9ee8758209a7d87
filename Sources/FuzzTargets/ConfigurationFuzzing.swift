import Configuration
import Foundation

enum ConfigurationFuzzing {
    static func run(_ bytes: [UInt8]) {
        let environment = ["SECRET": "correct horse", "https_proxy": "http://u:correct%20horse@proxy:3128"]
        do {
            let configuration = try Configuration(parsing: Data(bytes), environment: environment)
            precondition(configuration.batching.maxWait >= configuration.batching.silenceWindow)
            precondition(configuration.lease.renewEvery * 2 <= configuration.lease.ttl)
            precondition(configuration.shutdownTimeout > .zero)
        } catch let error as ConfigurationError {
            precondition(!error.problem.isEmpty)
            // libFuzzer learns the word; where it stands in the file itself it is no secret.
            precondition(
                !"\(error)".contains("horse") || String(decoding: bytes, as: UTF8.self).contains("horse"),
                "a secret in an error")
        } catch {
            preconditionFailure("another error than a ConfigurationError")
        }
    }
}
