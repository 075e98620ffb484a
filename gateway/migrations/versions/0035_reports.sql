-- Stripe's financial reports: one for each corridor, kind and day of UTC. No row of a report is here: a
-- file is read at Stripe when it is asked for.
CREATE TABLE report (
    report_number bigint GENERATED ALWAYS AS IDENTITY,
    report_id text COLLATE "C" NOT NULL PRIMARY KEY,
    corridor text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('ACTIVITY', 'PAYOUTS', 'SUMMARY')),
    -- Stripe's name of the type, with its version.
    stripe_type text NOT NULL,
    start_time timestamptz NOT NULL,
    end_time timestamptz NOT NULL CHECK (end_time > start_time),
    state text NOT NULL CHECK (state IN ('WANTED', 'RUNNING', 'READY')),
    -- Which run of it is wanted or under way: one that failed is followed by another.
    attempt integer NOT NULL CHECK (attempt > 0),
    -- Why the last run came to nothing.
    failure text NOT NULL,
    stripe_run_id text NOT NULL,
    stripe_file_id text NOT NULL,
    -- When it is asked for or looked at without an event; null if nothing more is expected.
    next_look_time timestamptz,
    create_time timestamptz NOT NULL,
    ready_time timestamptz,
    CHECK ((stripe_run_id = '') = (state = 'WANTED')),
    CHECK ((stripe_file_id <> '') = (state = 'READY')),
    CHECK ((next_look_time IS NULL) = (state = 'READY')),
    CHECK ((ready_time IS NOT NULL) = (state = 'READY'))
);

CREATE UNIQUE INDEX report_listed ON report (report_number);
CREATE UNIQUE INDEX report_of_day ON report (corridor, kind, start_time);
CREATE INDEX report_due ON report (next_look_time, report_number) WHERE next_look_time IS NOT NULL;
CREATE UNIQUE INDEX report_run ON report (corridor, stripe_run_id) WHERE stripe_run_id <> '';

GRANT SELECT, INSERT, UPDATE ON report TO gateway_service;
