-- Lists the newest $4 messages of people in a session, newest first, without the message $3: messages that a reply can
-- be attached to instead.
SELECT m.lark_message_id FROM gateway.chat_message m
WHERE m.installation_id = $1 AND m.session_id = $2 AND m.role = 'user' AND m.lark_message_id <> $3
ORDER BY m.position DESC LIMIT $4
