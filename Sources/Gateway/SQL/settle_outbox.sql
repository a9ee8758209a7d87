-- Records what became of a send: gateway.settle_outbox, in 018_undelivered_replies.sql.
SELECT gateway.settle_outbox($1, $2, $3, $4, $5, $6, $7)
