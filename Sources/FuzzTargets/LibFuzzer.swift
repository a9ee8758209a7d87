import Foundation

/// The target that LARK_GATEWAY_FUZZ_TARGET names.
private let target = FuzzTarget(rawValue: ProcessInfo.processInfo.environment["LARK_GATEWAY_FUZZ_TARGET"] ?? "")

/// libFuzzer's entry (llvm.org/docs/LibFuzzer.html).
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzerTestOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    guard let target else {
        FileHandle.standardError.write(Data("LARK_GATEWAY_FUZZ_TARGET names no target\n".utf8))
        exit(2)
    }
    target.run(Array(UnsafeBufferPointer(start: bytes, count: bytes == nil ? 0 : count)))
    return 0
}
