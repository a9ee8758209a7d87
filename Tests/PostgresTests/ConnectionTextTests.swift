import Postgres
import Testing

@Suite("Addresses of databases")
struct ConnectionTextTests {
    @Test(
        "what libpq takes is one",
        arguments: [
            "", "dbname=x", "host=/run/postgresql port=5432", "host=@abstract", "host='/a@b' port=5432",
            "postgresql://", "postgresql://ann:p%40ss%2Fword@db.example:5433/x?sslmode=verify-full",
            "postgres://a,b:5433,[::1]:5434/x", "host=a,b,/run port=5432,,5434", "host=a,b port=5432",
            "host=a hostaddr=127.0.0.1", "postgresql:///x?host=/run", "postgresql://ann:p@/x",
        ])
    func valid(text: String) {
        #expect(ConnectionText.isValid(text))
    }

    @Test(
        "what libpq does not take is none, nor one whose port is no number or whose host has an @: there a password begins",
        arguments: [
            "x", "no=such", "host='a", "postgres://a:b@[::1/x", "postgres://ann:pass/word@db.example/x",
            "postgres://ann:pass@word@db.example/x", "host=a port=x", "host=a,b port=5432,x", "host=a@b", "host=a,b@c",
        ])
    func invalid(text: String) {
        #expect(!ConnectionText.isValid(text))
    }
}
