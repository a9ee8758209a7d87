-- Records the reaction $4 of a typing sign.
UPDATE gateway.typing SET reaction_id = $4 WHERE installation_id = $1 AND session_id = $2 AND position = $3
