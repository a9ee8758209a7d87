-- Worker roles with their runtimes; is_there: the role was not dropped since.
SELECT w.role_name, w.runtime_id, EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = w.role_name) AS is_there
FROM gateway.worker_role w
ORDER BY w.role_name, w.runtime_id
