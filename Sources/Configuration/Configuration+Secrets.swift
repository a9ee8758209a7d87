/// Secrets in files that change while the gateway runs.
extension Configuration {
    /// A file with a secret that may change at any time.
    package struct SecretFile: Sendable, Equatable {
        package let path: String
        /// The keys whose secret it is.
        package let keys: [String]
        /// One of the keys is read at the start alone.
        package let needsRestart: Bool
    }

    /// What became of files that were read again.
    package struct Reread: Sendable {
        /// With the secrets of `changed`, and the rest as it was.
        package let configuration: Configuration
        package fileprivate(set) var changed: [SecretFile] = []
        /// Their former secrets stay.
        package fileprivate(set) var unusable: [(file: SecretFile, problem: String)] = []
    }

    /// Those of `file:`, by path.
    package var secretFiles: [String: SecretFile] {
        var files: [String: [String]] = [:]
        for (key, source) in secretKeys where Secret.isFile(source) {
            guard let path = Secret.file(source, in: surroundings) else { continue }
            files[path, default: []].append(key)
        }
        let restart = Settings.all.filter(\.needsRestart).map(\.path)
        return Dictionary(
            uniqueKeysWithValues: files.map { path, keys in
                (path, SecretFile(path: path, keys: keys, needsRestart: keys.contains(where: restart.contains)))
            })
    }

    /// Whether there are secrets of `credential:`, and each is what it was in `old`.
    package func hasUnchangedCredentials(since old: Configuration) -> Bool {
        let paths = secretKeys.filter { Secret.isCredential($0.source) }
            .compactMap { Secret.file($0.source, in: surroundings) }
        return !paths.isEmpty && paths.allSatisfy { secretTexts[$0] == old.secretTexts[$0] }
    }

    /// Reads these of the `secretFiles` again, and nothing else: not the configuration file, in which somebody may be
    /// writing. A file that is not what it should be changes nothing, and is no reason not to take another one.
    package func reread(_ paths: some Sequence<String>) -> Reread {
        let files = secretFiles
        var new: [String: String] = [:]
        var problems: [String: String] = [:]
        for path in paths where files[path] != nil {
            do throws(SecretFiles.Unusable) {
                let text = try SecretFiles.read(path)
                if text != secretTexts[path] { new[path] = text }
            } catch {
                problems[path] = error.problem
            }
        }
        var configuration = self
        while !new.isEmpty {
            do {
                configuration = try Configuration(
                    parsing: text, in: surroundings, for: .everything,
                    SecretFiles(known: secretTexts.merging(new) { $1 }))
                break
            } catch {
                // Another text of the same configuration is refused where it is no key or no address, which an app's
                // secret can't be: few rounds, however many apps there are.
                let mistakes = (error as? ConfigurationError)?.mistakes ?? []
                var refused: [String: String] = [:]
                for file in files.values where new[file.path] != nil {
                    refused[file.path] = mistakes.first { file.keys.contains($0.keyPath) }?.problem
                }
                if refused.isEmpty {
                    refused = new.mapValues { _ in mistakes.first?.problem ?? "it can't be used" }
                }
                for (path, problem) in refused {
                    new[path] = nil
                    problems[path] = problem
                }
            }
        }
        var reread = Reread(configuration: configuration)
        reread.changed = new.keys.sorted().compactMap { files[$0] }
        reread.unusable = problems.sorted { $0.key < $1.key }.compactMap { path, problem in
            files[path].map { ($0, problem) }
        }
        return reread
    }
}
