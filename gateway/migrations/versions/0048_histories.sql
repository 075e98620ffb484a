-- The histories (server and timeline) that the gateway has seen its database in, the newest last. One more after
-- each promotion and each recovery to a moment: commits of the one before may be missing.
CREATE TABLE database_history (
    history_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- PostgreSQL's own: pg_control_system(), and the first digits of a WAL file's name.
    system_identifier bigint NOT NULL,
    timeline bigint NOT NULL CHECK (timeline > 0),
    seen_time timestamptz NOT NULL,
    -- What was said of the history before when it was last looked at, and of this one at first; empty where
    -- nobody had looked.
    durability_before text NOT NULL,
    durability_after text NOT NULL,
    -- Whether nothing acknowledged can be missing: then nothing is looked for.
    lost_nothing boolean NOT NULL,
    -- Since then the ledger's open holds were compared with the facts that were reported.
    hold_check_time timestamptz,
    -- All was compared: Stripe's newest objects, the ledger, its holds.
    check_time timestamptz,
    UNIQUE (system_identifier, timeline)
);

GRANT SELECT, INSERT ON database_history TO gateway_service;
GRANT UPDATE (durability_before, lost_nothing, hold_check_time, check_time) ON database_history TO gateway_service;
