-- Lists the active leases of a holder between two renewals; is_wanted: another live replica asks for the installation.
CREATE OR REPLACE FUNCTION gateway.check_leases(p_holder text)
RETURNS TABLE (installation_id bigint, generation bigint, revision bigint, is_wanted boolean) LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT i.id, i.lease_generation, i.revision, i.wanted_by <> p_holder AND r.expires_at > clock_timestamp()
    FROM gateway.installation i LEFT JOIN gateway.replica r ON r.holder = i.wanted_by
    WHERE i.lease_holder = p_holder AND i.status = 'active'
$$;
