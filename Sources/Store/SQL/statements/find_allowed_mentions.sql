-- Finds which of the people $3 an answer in the session $2 may mention: who wrote one of its newest 5,000 messages, or
-- stands in the context of its group. One row for each, at least one; may_mention_all: whether the agent may mention
-- everybody.
SELECT a.may_mention_all, p.open_id
FROM gateway.installation i
JOIN gateway.agent a ON a.id = i.agent_id
LEFT JOIN LATERAL (
    SELECT n.sender AS open_id
    FROM (SELECT m.sender FROM gateway.chat_message m
          WHERE m.installation_id = i.id AND m.session_id = $2 ORDER BY m.position DESC LIMIT 5000) n
    WHERE n.sender = ANY ($3::text[])
    UNION
    SELECT e.message ->> 'sender'
    FROM gateway.group_context g, jsonb_array_elements(g.messages) AS e (message)
    WHERE g.installation_id = i.id AND g.session_id = $2 AND e.message ->> 'from' = 'user'
        AND e.message ->> 'sender' = ANY ($3::text[])
) p ON true
WHERE i.id = $1
