-- Gives back the tasks whose worker let its claim run out; returns how many.
SELECT gateway.expire_claims() AS expired
