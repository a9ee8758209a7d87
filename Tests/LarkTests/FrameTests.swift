import Foundation
import Lark
import Testing

@Suite("Frames of the long connection")
struct FrameTests {
    struct Vector: Sendable, CustomTestStringConvertible {
        let name: String
        let bytes: [UInt8]
        let isValid: Bool
        let frame: Frame?

        var testDescription: String { name }
    }

    /// From the file that FRAME_VECTORS names, else from the copy beside this file.
    static let vectors: [Vector] = {
        let path =
            ProcessInfo.processInfo.environment["FRAME_VECTORS"]
            ?? (#filePath as NSString).deletingLastPathComponent + "/Fixtures/frames.json"
        let data = FileManager.default.contents(atPath: path) ?? Data()
        let list = (try? JSONSerialization.jsonObject(with: data)) as? [[String: Any]] ?? []
        return list.compactMap { entry in
            guard let name = entry["name"] as? String, let hex = entry["hex"] as? String else { return nil }
            return Vector(
                name: name, bytes: bytes(hex), isValid: entry["valid"] as? Bool ?? false,
                frame: (entry["fields"] as? [String: Any]).map(frame))
        }
    }()

    private static func bytes(_ hex: String) -> [UInt8] {
        var out: [UInt8] = []
        var rest = hex[...]
        while let byte = UInt8(rest.prefix(2), radix: 16) {
            out.append(byte)
            rest = rest.dropFirst(2)
        }
        return out
    }

    private static func frame(_ fields: [String: Any]) -> Frame {
        func number(_ key: String) -> NSNumber { fields[key] as? NSNumber ?? 0 }
        return Frame(
            sequenceID: number("seq_id").uint64Value, logID: number("log_id").uint64Value,
            service: number("service").int32Value, method: number("method").int32Value,
            headers: (fields["headers"] as? [[String]] ?? []).map { Frame.Header(key: $0[0], value: $0[1]) },
            payloadEncoding: fields["payload_encoding"] as? String, payloadType: fields["payload_type"] as? String,
            payload: (fields["payload"] as? String).map(bytes), logIDNew: fields["log_id_new"] as? String)
    }

    @Test("there are vectors of both kinds")
    func present() {
        #expect(Self.vectors.contains(where: \.isValid) && Self.vectors.contains { !$0.isValid })
        #expect(Self.vectors.count >= 50)
    }

    @Test(
        "each vector decodes to its fields, and encodes to the same again; an invalid one is a typed error",
        arguments: vectors)
    func vector(_ vector: Vector) throws {
        guard vector.isValid else {
            #expect(throws: FrameError.self) { try Frame(decoding: vector.bytes) }
            return
        }
        let frame = try Frame(decoding: vector.bytes)
        #expect(frame == vector.frame)
        #expect(try Frame(decoding: frame.encoded()) == frame)
    }

    @Test("the parts of a message join to one JSON event")
    func parts() throws {
        let frames = try Self.vectors.filter { $0.name.hasPrefix("parts ") && $0.isValid }.map {
            try Frame(decoding: $0.bytes)
        }
        let messages = Dictionary(grouping: frames) { $0.header("message_id") ?? "" }
        #expect(!messages.isEmpty)
        for (id, parts) in messages {
            var assembler = PartAssembler()
            var whole: [UInt8]?
            for frame in parts.reversed() {
                let outcome = assembler.add(
                    frame.payload ?? [], messageID: id, sum: Int(frame.header("sum") ?? "") ?? 0,
                    index: Int(frame.header("seq") ?? "") ?? -1, now: .zero)
                if case .whole(let bytes) = outcome { whole = bytes }
            }
            #expect(JSONValue(parsing: try #require(whole, "\(id)"))?.isObject == true, "\(id)")
        }
    }

    @Test("cut anywhere a frame is an error or a shorter frame, never a trap; so are random bytes and changed ones")
    func fuzz() {
        var random = SystemRandomNumberGenerator()
        for vector in Self.vectors where vector.bytes.count < 3000 {
            for cut in 0..<vector.bytes.count { _ = try? Frame(decoding: vector.bytes[..<cut]) }
            for _ in 0..<200 where !vector.bytes.isEmpty {
                var bytes = vector.bytes
                for _ in 0..<3 {
                    bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(
                        in: .min ... .max, using: &random)
                }
                if let frame = try? Frame(decoding: bytes) { #expect((try? Frame(decoding: frame.encoded())) == frame) }
            }
        }
    }

    @Test("S17: a frame with more than 8 KB of headers, or an id of over 256 bytes, is no frame")
    func oversizedHead() throws {
        func frame(_ headers: [(String, String)], logIDNew: String? = nil) -> [UInt8] {
            Frame(
                service: 1, method: Frame.Method.data, headers: headers.map { Frame.Header(key: $0.0, value: $0.1) },
                payload: [1], logIDNew: logIDNew
            ).encoded()
        }
        let long = String(repeating: "x", count: 8 << 10)
        for bytes in [
            frame([("a", long)]), frame([(long, "a")]), frame([], logIDNew: long),
            frame(Array(repeating: ("", ""), count: 8 << 10)),
            frame([("a", String(long.prefix(4 << 10))), ("b", long)]),
        ] {
            #expect(throws: FrameError.headTooLarge) { try Frame(decoding: bytes) }
        }
        let id = String(repeating: "x", count: 257)
        for key in ["message_id", "trace_id"] {
            #expect(throws: FrameError.overlongID(bytes: 257)) { try Frame(decoding: frame([(key, id)])) }
            #expect(try Frame(decoding: frame([(key, String(id.dropLast()))])).headers.count == 1)
        }
        let whole = try Frame(decoding: frame([("a", String(long.dropLast(100)))]))
        #expect(whole.headBytes > 8_000 && whole.headBytes < 8_300)
    }

    @Test("an ack is the frame itself with biz_rt added and the payload replaced")
    func acknowledgement() {
        let frame = Frame(
            sequenceID: 12, logID: 345, service: 7, method: 1,
            headers: [Frame.Header(key: "type", value: "event"), Frame.Header(key: "instance_id", value: "i")],
            payloadEncoding: "", payload: [1], logIDNew: "log-9")
        let ack = Delivery(frame: frame, payload: [1]).acknowledgement(.failed, handledIn: .milliseconds(3))
        var expected = frame
        expected.headers.append(Frame.Header(key: "biz_rt", value: "3"))
        expected.payload = Array(#"{"code":500,"headers":null,"data":null}"#.utf8)
        #expect(ack == expected)
    }
}

@Suite("Parts of an event")
struct PartAssemblerTests {
    @Test("any order, duplicates, and characters cut in the middle")
    func joins() {
        let bytes = Array("äöü".utf8)
        var assembler = PartAssembler()
        #expect(assembler.add([bytes[5]], messageID: "m", sum: 3, index: 2, now: .zero) == .waiting)
        #expect(assembler.add([bytes[0]], messageID: "m", sum: 3, index: 0, now: .zero) == .waiting)
        #expect(assembler.add([bytes[0]], messageID: "m", sum: 3, index: 0, now: .zero) == .waiting)
        #expect(assembler.add(Array(bytes[1...4]), messageID: "m", sum: 3, index: 1, now: .zero) == .whole(bytes))
    }

    @Test("D8: parts that stay alone are dropped 5 s after the newest of them")
    func expiry() {
        var assembler = PartAssembler()
        _ = assembler.add([1], messageID: "m", sum: 3, index: 0, now: .zero)
        _ = assembler.add([1], messageID: "m", sum: 3, index: 1, now: .seconds(3))
        #expect(assembler.nextExpiry == .seconds(8))
        #expect(assembler.dropExpired(now: .milliseconds(7_999)) == 0)
        #expect(assembler.dropExpired(now: .seconds(8)) == 1)
        #expect(assembler.nextExpiry == nil)
    }

    @Test("S17: an event costs its id and its place, so that empty parts with long ids are bounded too")
    func idsCount() {
        var assembler = PartAssembler(maxBytes: 64 << 10)
        var waiting = 0
        for number in 0..<1_000 {
            let id = "\(number)" + String(repeating: "x", count: 200)
            if assembler.add([], messageID: id, sum: 2, index: 0, now: .zero) == .waiting { waiting += 1 }
        }
        // With 128 bytes for each, 512 were held.
        #expect(waiting < 100)
        #expect(assembler.dropExpired(now: .seconds(5)) == waiting)
        #expect(assembler.bytes == 0)
    }

    @Test("out of range, contradicting or too much is dropped, and memory stays bounded")
    func bounds() {
        var assembler = PartAssembler(maxBytes: 1000)
        for (sum, index) in [(2, 2), (2, -1), (20_000, 0)] {
            guard case .dropped = assembler.add([1], messageID: "a", sum: sum, index: index, now: .zero) else {
                return #expect(Bool(false))
            }
        }
        #expect(assembler.add([1], messageID: "b", sum: 2, index: 0, now: .zero) == .waiting)
        guard case .dropped = assembler.add([1], messageID: "b", sum: 3, index: 1, now: .zero) else {
            return #expect(Bool(false))
        }
        guard
            case .dropped = assembler.add(Array(repeating: 1, count: 900), messageID: "c", sum: 2, index: 0, now: .zero)
        else { return #expect(Bool(false)) }
    }
}
