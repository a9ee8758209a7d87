-- Stores the bot's open_id ($2) and union_id ($3) of the installation $1. NULL does not overwrite a known id.
UPDATE gateway.installation
SET bot_open_id = coalesce($2, bot_open_id), bot_union_id = coalesce($3, bot_union_id)
WHERE id = $1
