import Gateway

extension LogSettings {
    init(_ node: JSONNode) throws {
        self.init()
        let keys = try node.object(keys: ["level", "format"])
        level = try keys["level"]?.choice(of: LogEvent.Level.self) ?? level
        format = try keys["format"]?.choice(of: Format.self) ?? format
    }
}
