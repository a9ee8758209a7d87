-- Records what became of a send: gateway.settle_outbox, in 005_leases_and_outbox.sql.
SELECT gateway.settle_outbox($1, $2, $3, $4, $5, $6)
