-- Makes an installation of the configuration file exist: app $1, workspace $2, agent $3, domain $4, locale $5, access $6.
SELECT installation_id, status FROM gateway.apply_installation($1, $2, $3, $4, $5, $6)
