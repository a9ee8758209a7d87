-- Makes an agent of the configuration file exist: workspace $1, name $2, runtime $3 (NULL: offline).
SELECT gateway.apply_agent($1, $2, $3, true)
