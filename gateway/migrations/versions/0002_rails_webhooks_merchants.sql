-- What operators allowed on each corridor, and when: the last row of a corridor counts.
CREATE TABLE rail_mode_change (
    change_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    corridor text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('OPEN', 'DRAIN', 'CLOSED')),
    reason text NOT NULL,
    request_id text NOT NULL UNIQUE,
    change_time timestamptz NOT NULL
);

CREATE INDEX rail_mode_change_corridor ON rail_mode_change (corridor, change_number DESC);

-- The inbox: every event of Stripe that came in, once, and how far it got.
CREATE TABLE webhook_event (
    -- Order of arrival, and of processing within one subject. A replayed event gets a new one.
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL,
    corridor text NOT NULL,
    -- The connected account that the event is about; null for the platform's own.
    stripe_account text,
    event_type text NOT NULL,
    object_id text NOT NULL,
    -- What events are serialised by: the payment or the account that they are about.
    subject text NOT NULL,
    created_time timestamptz NOT NULL,
    -- The body as Stripe signed it; text, because jsonb refuses some valid JSON.
    body text NOT NULL,
    state text NOT NULL DEFAULT 'PENDING' CHECK (state IN ('PENDING', 'DONE', 'DEAD')),
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_time timestamptz NOT NULL,
    lease_until timestamptz,
    fencing_token bigint NOT NULL DEFAULT 0,
    last_failure text,
    receive_time timestamptz NOT NULL,
    finish_time timestamptz,
    UNIQUE (corridor, event_id),
    CHECK ((state = 'PENDING') = (finish_time IS NULL))
);

CREATE INDEX webhook_event_pending ON webhook_event (sequence) WHERE state = 'PENDING';
CREATE INDEX webhook_event_subject ON webhook_event (subject, sequence) WHERE state = 'PENDING';
CREATE INDEX webhook_event_done ON webhook_event (finish_time) WHERE state = 'DONE';

-- Events that were given up on. A replay marks its row; giving up again makes another.
CREATE TABLE webhook_dead_letter (
    dead_letter_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    corridor text NOT NULL,
    event_id text NOT NULL,
    event_type text NOT NULL,
    object_id text NOT NULL,
    reason text NOT NULL,
    attempts integer NOT NULL,
    receive_time timestamptz NOT NULL,
    create_time timestamptz NOT NULL,
    replay_request_id text UNIQUE,
    FOREIGN KEY (corridor, event_id) REFERENCES webhook_event (corridor, event_id)
);

CREATE INDEX webhook_dead_letter_open ON webhook_dead_letter (dead_letter_number)
WHERE replay_request_id IS NULL;
CREATE INDEX webhook_dead_letter_event ON webhook_dead_letter (event_id);

CREATE TABLE merchant (
    merchant_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_id text NOT NULL UNIQUE,
    corridor text NOT NULL,
    stripe_account_id text UNIQUE,
    state text NOT NULL CHECK (state IN ('CREATING', 'CONNECTED', 'FAILED', 'DISCONNECTED')),
    failure_code text NOT NULL DEFAULT '',
    -- The request that made it: the same request may go on with it, another may not.
    create_request_id text NOT NULL UNIQUE,
    -- The last snapshot, and when Stripe last said exactly that.
    snapshot_sequence bigint,
    fetch_time timestamptz,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    CHECK (state NOT IN ('CONNECTED', 'DISCONNECTED') OR stripe_account_id IS NOT NULL),
    CHECK ((snapshot_sequence IS NULL) = (fetch_time IS NULL))
);

-- What Stripe said of an account whenever that changed. Rows are never changed.
CREATE TABLE merchant_snapshot (
    -- Gapless and in commit order: taken from merchant_snapshot_counter under its row lock.
    sequence bigint PRIMARY KEY,
    merchant_id text NOT NULL REFERENCES merchant (merchant_id),
    content jsonb NOT NULL,
    content_hash bytea NOT NULL CHECK (octet_length(content_hash) = 32),
    record_time timestamptz NOT NULL
);

CREATE INDEX merchant_snapshot_merchant ON merchant_snapshot (merchant_id, sequence);

ALTER TABLE merchant ADD FOREIGN KEY (snapshot_sequence) REFERENCES merchant_snapshot (sequence);

CREATE TABLE merchant_snapshot_counter (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    last_sequence bigint NOT NULL
);

INSERT INTO merchant_snapshot_counter (last_sequence) VALUES (0);

-- Requests that change something at Stripe for a merchant, with their first answer. Written
-- before Stripe is asked; without an answer the outcome is not known yet.
CREATE TABLE merchant_request (
    request_id text PRIMARY KEY,
    method text NOT NULL,
    -- The request as protobuf, with personal data taken out; for comparing.
    body bytea NOT NULL,
    -- SHA-256 of the whole request.
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    -- Random, so that the key at Stripe cannot be guessed from the request_id.
    idempotency_key text NOT NULL UNIQUE,
    merchant_id text,
    -- The answer as protobuf, or the decided failure; both null while unknown.
    answer bytea,
    failure jsonb,
    create_time timestamptz NOT NULL,
    answer_time timestamptz,
    CHECK (answer IS NULL OR failure IS NULL),
    CHECK ((answer_time IS NULL) = (answer IS NULL AND failure IS NULL))
);

GRANT SELECT, INSERT ON rail_mode_change, merchant_snapshot TO gateway_service;
GRANT SELECT, INSERT, UPDATE ON merchant, merchant_request TO gateway_service;
GRANT SELECT, UPDATE ON merchant_snapshot_counter TO gateway_service;
-- Events that are done are deleted when Stripe cannot send them again.
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_event TO gateway_service;
GRANT SELECT, INSERT, UPDATE ON webhook_dead_letter TO gateway_service;
