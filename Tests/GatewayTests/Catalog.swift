import AsyncRuntime
import Postgres
import TestSupport

/// What a database's catalog says of the schema `gateway`, a line for each thing, in a fixed order.
struct Catalog {
    /// Without the text of functions.
    let outline: [String]
    /// Of each function.
    let bodies: [String]

    init(_ pool: Pool) async throws {
        let statement = Statement(name: "catalog", sql: Self.outlineSQL, isPrepared: false)
        outline = try await pool.query(statement, deadline: .after(.seconds(20))).map { try $0.value("line") }
        bodies = try await pool.rows(
            """
            SELECT p.oid::regprocedure::text, md5(coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)) FROM pg_proc p
            WHERE p.pronamespace = 'gateway'::regnamespace ORDER BY p.oid::regprocedure::text COLLATE "C"
            """)
    }

    // Not-null constraints are a column's property here; Postgres 18 also lists them as constraints (contype n).
    private static let outlineSQL = """
        SELECT x.line FROM (
            SELECT format('table %s %s', c.relname, coalesce(array_to_string(c.reloptions, ' '), '')) AS line FROM pg_class c
            WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
            UNION ALL
            SELECT format('column %s.%s %s %s%s%s%s', c.relname, lpad(a.attnum::text, 2, '0'), a.attname,
                format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
                CASE WHEN a.attidentity <> '' THEN ' IDENTITY' ELSE '' END,
                coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), ''))
            FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
            UNION ALL
            SELECT format('constraint %s.%s %s', c.relname, o.conname, pg_get_constraintdef(o.oid))
            FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
            WHERE o.connamespace = 'gateway'::regnamespace AND o.contype <> 'n' AND o.contype <> 't'
            UNION ALL
            SELECT format('index %s', i.indexdef) FROM pg_indexes i WHERE i.schemaname = 'gateway'
            UNION ALL
            SELECT format('trigger %s', pg_get_triggerdef(t.oid)) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
            WHERE c.relnamespace = 'gateway'::regnamespace AND NOT t.tgisinternal
            UNION ALL
            SELECT format('function %s(%s) RETURNS %s %s %s%s%s', p.proname, pg_get_function_arguments(p.oid),
                pg_get_function_result(p.oid), l.lanname, p.provolatile::text || p.proparallel::text,
                CASE WHEN p.prosecdef THEN ' SECURITY DEFINER' ELSE '' END,
                coalesce(' SET ' || array_to_string(p.proconfig, ' '), ''))
            FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.pronamespace = 'gateway'::regnamespace
        ) x ORDER BY x.line COLLATE "C"
        """
}
