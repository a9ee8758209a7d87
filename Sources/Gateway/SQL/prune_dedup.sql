-- Forgets what was received over 24 hours ago, at most $1 rows at a time. The platform does not deliver again after that.
DELETE FROM gateway.inbound_dedup d
WHERE (d.installation_id, d.lark_message_id) IN (
    SELECT o.installation_id, o.lark_message_id FROM gateway.inbound_dedup o
    WHERE o.received_at < now() - interval '24 hours' LIMIT $1)
