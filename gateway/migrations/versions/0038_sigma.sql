-- Runs of queries that are scheduled in Stripe Sigma. What Stripe says of one never changes; its file does.
CREATE TABLE sigma_run (
    corridor text NOT NULL,
    id text COLLATE "C" NOT NULL,
    title text NOT NULL,
    state text NOT NULL CHECK (state IN ('COMPLETED', 'FAILED', 'CANCELED', 'TIMED_OUT')),
    -- The message of gateway.v1 as JSON, without the corridor, and what it hashes to.
    content jsonb NOT NULL,
    digest text NOT NULL,
    file_state text NOT NULL CHECK (file_state IN ('NONE', 'WANTED', 'KEPT', 'REFUSED', 'LOST', 'DISCARDED')),
    stripe_file_id text NOT NULL,
    -- Until when Stripe has the file.
    available_until timestamptz NOT NULL,
    -- Which attempt to fetch it is the next.
    attempt integer NOT NULL CHECK (attempt > 0),
    -- When it is to be fetched.
    next_look_time timestamptz,
    -- When its bytes were fetched, as long as they are here.
    keep_time timestamptz,
    -- When the gateway came to know the run.
    create_time timestamptz NOT NULL,
    -- The digest that was told last; NULL before the first. It has changed where the two differ.
    told text,
    -- Of its first and of its last change.
    first_sequence bigint,
    sequence bigint,
    PRIMARY KEY (corridor, id),
    CHECK ((stripe_file_id = '') = (file_state = 'NONE')),
    CHECK ((next_look_time IS NOT NULL) = (file_state = 'WANTED')),
    CHECK ((keep_time IS NOT NULL) = (file_state = 'KEPT'))
);

CREATE INDEX sigma_run_untold ON sigma_run (create_time, id, corridor) WHERE told IS DISTINCT FROM digest;
CREATE UNIQUE INDEX sigma_run_listed ON sigma_run (first_sequence) WHERE first_sequence IS NOT NULL;
CREATE INDEX sigma_run_due ON sigma_run (next_look_time, id, corridor) WHERE next_look_time IS NOT NULL;
CREATE INDEX sigma_run_kept ON sigma_run (keep_time, id, corridor) WHERE keep_time IS NOT NULL;

-- The bytes of files that are kept, in pieces, as Stripe made them.
CREATE TABLE sigma_file_part (
    corridor text NOT NULL,
    id text COLLATE "C" NOT NULL,
    part_number integer NOT NULL CHECK (part_number > 0),
    content bytea NOT NULL CHECK (octet_length(content) BETWEEN 1 AND 1048576),
    PRIMARY KEY (corridor, id, part_number),
    FOREIGN KEY (corridor, id) REFERENCES sigma_run (corridor, id)
);
-- They are compressed rarely well enough to be worth the time, and read whole.
ALTER TABLE sigma_file_part ALTER COLUMN content SET STORAGE EXTERNAL;

-- How runs were with each change. Rows are never changed.
CREATE TABLE sigma_change (
    -- Gapless: given after the commit of what changed, by one process at a time.
    sequence bigint PRIMARY KEY,
    corridor text NOT NULL,
    id text COLLATE "C" NOT NULL,
    content jsonb NOT NULL,
    record_time timestamptz NOT NULL
);

-- How far the walk over each corridor's list of runs is.
CREATE TABLE sigma_walk (
    corridor text NOT NULL PRIMARY KEY,
    -- The last one of the page before; empty at the beginning of a walk.
    after_id text NOT NULL,
    -- When the walk that is under way began.
    begin_time timestamptz,
    -- What was made before is not walked over; NULL of the first walk, which sees all.
    since timestamptz,
    -- When the walk is due.
    next_time timestamptz NOT NULL,
    finish_time timestamptz,
    create_time timestamptz NOT NULL
);

-- Since when a walk over Billing has been due: how long none has finished is counted from there before the first.
ALTER TABLE billing_walk ADD COLUMN create_time timestamptz NOT NULL DEFAULT now();

GRANT SELECT, INSERT, UPDATE ON sigma_run, sigma_walk TO gateway_service;
GRANT SELECT, INSERT, DELETE ON sigma_file_part TO gateway_service;
GRANT SELECT, INSERT ON sigma_change TO gateway_service;
