/// One numbered change of the tables: applied once, and never edited once it has landed.
package struct Migration: Sendable {
    package let number: Int
    package let name: String
    /// DDL. Functions are no part of a migration: each has one current text, its `Definition`.
    package let sql: String
    /// Checksums of texts that were applied under this number before it was rewritten to the same effect.
    let formerChecksums: [Int64]

    package init(number: Int, name: String, sql: String, formerChecksums: [Int64] = []) {
        self.number = number
        self.name = name
        self.sql = sql
        self.formerChecksums = formerChecksums
    }

    var checksum: Int64 { textChecksum(sql) }
}

/// A migration as a database records it.
package struct RecordedMigration: Sendable {
    package let number: Int
    package let name: String
    package let checksum: Int64

    package init(_ number: Int, _ name: String, _ checksum: Int64) {
        self.number = number
        self.name = name
        self.checksum = checksum
    }
}

/// The current text of one function, with the triggers that call it. Every statement in it can be repeated
/// (`CREATE OR REPLACE`).
package struct Definition: Sendable {
    package let name: String
    package let sql: String

    package init(name: String, sql: String) {
        self.name = name
        self.sql = sql
    }

    package var checksum: Int64 { textChecksum(sql) }
}

/// FNV-1a, 64 bits. It finds an edit; it is no protection against an attacker.
/// Source: The FNV Non-Cryptographic Hash Algorithm, draft-eastlake-fnv.
func textChecksum(_ text: String) -> Int64 {
    Int64(bitPattern: text.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 })
}
