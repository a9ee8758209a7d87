-- What this replica's connections do: gateway.record_connections, in 008_hub.sql.
SELECT gateway.record_connections($1, $2, $3, $4, $5, $6)
