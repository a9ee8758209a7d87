import Foundation

/// A folder for one demo, whose name nobody knows before: other users of the machine can write to the folder for
/// temporary files, and would prepare one by a name that they can guess.
enum DemoFolder {
    /// Makes it, closed to everybody else (mkdtemp: mode 0700).
    /// - Throws: `DemoError`.
    static func make(in parent: String = NSTemporaryDirectory()) throws -> String {
        var template = Array((parent + (parent.hasSuffix("/") ? "" : "/") + "lark-gateway-demo.XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else {
            throw DemoError("no folder can be made in \(parent): \(String(cString: strerror(errno)))")
        }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
