DO $$
BEGIN
    CREATE ROLE runtime_sample NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;
CREATE TABLE thing (name text PRIMARY KEY);
GRANT SELECT, INSERT ON thing TO runtime_sample;
