-- A temporary table hides one of the same name from whoever does not say otherwise, and anybody who may connect may
-- make one: with a temporary "decision" of its own, a login that may only add decisions could have them chained to
-- one of its own.
-- So each function that a trigger runs looks names up in the catalogue and in the schema that it is in, and among
-- temporary ones last:
-- https://www.postgresql.org/docs/current/sql-createfunction.html#SQL-CREATEFUNCTION-SECURITY
DO $$
DECLARE
    checking regprocedure;
BEGIN
    FOR checking IN
        SELECT p.oid::regprocedure
        FROM pg_proc AS p
        WHERE p.pronamespace = current_schema()::regnamespace AND p.prorettype = 'trigger'::regtype
    LOOP
        EXECUTE format(
            'ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp', checking, current_schema()
        );
    END LOOP;
END
$$;

-- Nothing of ours makes temporary tables. PostgreSQL only warns if the database is not the migrating login's own.
DO $$
BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END
$$;
