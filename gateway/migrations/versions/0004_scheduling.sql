-- The workers that may be elected. A row stands while its process lives: who finds that a lease
-- has ended, or that the session which holds the lock is gone, deletes it.
CREATE TABLE scheduling_candidate (
    name text PRIMARY KEY,
    -- The advisory lock that the process's own session holds for as long as it is connected.
    session_key integer NOT NULL,
    -- By the database's clock; a process that hangs loses its duties when this has passed.
    lease_until timestamptz NOT NULL
);

-- What one process at a time does. A duty without a leader is taken by the next that looks.
CREATE TABLE scheduling_duty (
    name text PRIMARY KEY,
    leader text REFERENCES scheduling_candidate (name) ON DELETE SET NULL,
    -- Raised by every election.
    term bigint NOT NULL DEFAULT 0,
    -- When the leader, or the last one, was elected.
    elect_time timestamptz
);

CREATE INDEX scheduling_duty_leader ON scheduling_duty (leader);

GRANT SELECT, INSERT, UPDATE, DELETE ON scheduling_candidate TO gateway_service;
GRANT SELECT, INSERT, UPDATE ON scheduling_duty TO gateway_service;
