-- Makes true what a configuration file says: gateway.apply_configuration, in 009_administration.sql.
SELECT kind, name, change FROM gateway.apply_configuration($1, $2)
