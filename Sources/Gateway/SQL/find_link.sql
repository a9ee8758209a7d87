-- What stands behind the link with the hash $1: gateway.find_link, in 014_pairing.sql.
SELECT state, app_id, open_id, agent, workspace, locale, member, tries_left FROM gateway.find_link($1)
