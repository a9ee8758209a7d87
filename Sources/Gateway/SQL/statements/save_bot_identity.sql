-- Who the bot of the installation $1 is: open_id $2, union_id $3. What is unknown now does not overwrite what was known.
UPDATE gateway.installation
SET bot_open_id = coalesce($2, bot_open_id), bot_union_id = coalesce($3, bot_union_id)
WHERE id = $1
