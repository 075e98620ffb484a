-- Checks of people's identity by Stripe Identity. Nothing personal is here: no name, no document, no link.
CREATE TABLE verification (
    verification_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    verification_id text COLLATE "C" NOT NULL UNIQUE,
    subject_id text COLLATE "C" NOT NULL,
    corridor text NOT NULL,
    type text NOT NULL CHECK (type IN ('DOCUMENT', 'ID_NUMBER')),
    -- Of the check of a document, as Stripe names them.
    options jsonb NOT NULL,
    state text NOT NULL CHECK (
        state IN ('CREATING', 'REQUIRES_INPUT', 'PROCESSING', 'VERIFIED', 'CANCELED', 'FAILED')
    ),
    -- Why the last attempt failed, and why Stripe refused to make the session.
    error_code text NOT NULL,
    failure_code text NOT NULL,
    redaction text NOT NULL CHECK (redaction IN ('', 'PROCESSING', 'REDACTED')),
    stripe_session_id text NOT NULL,
    create_request_id text NOT NULL UNIQUE,
    verify_time timestamptz,
    -- When the look at Stripe began that this is from: an earlier one does not overwrite it.
    look_time timestamptz,
    -- When it is looked at again without an event; null if nothing more is expected.
    next_look_time timestamptz,
    -- Its last change; null before the first.
    sequence bigint,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    CHECK ((stripe_session_id = '') = (state IN ('CREATING', 'FAILED'))),
    CHECK ((verify_time IS NOT NULL) = (state = 'VERIFIED'))
);

CREATE UNIQUE INDEX verification_session ON verification (corridor, stripe_session_id)
WHERE stripe_session_id <> '';
CREATE INDEX verification_subject ON verification (subject_id, verification_number);
CREATE INDEX verification_state ON verification (state, verification_number);
CREATE INDEX verification_due ON verification (next_look_time) WHERE next_look_time IS NOT NULL;

-- How verifications were with each change. Rows are never changed.
CREATE TABLE verification_change (
    -- Gapless and in commit order: taken from verification_change_counter under its row lock.
    sequence bigint PRIMARY KEY,
    verification_id text COLLATE "C" NOT NULL,
    content jsonb NOT NULL,
    record_time timestamptz NOT NULL
);

CREATE TABLE verification_change_counter (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    last_sequence bigint NOT NULL
);

INSERT INTO verification_change_counter (last_sequence) VALUES (0);

CREATE TABLE verification_request (LIKE dispute_request INCLUDING ALL);

GRANT SELECT, INSERT, UPDATE ON verification TO gateway_service;
GRANT SELECT, INSERT ON verification_change TO gateway_service;
GRANT SELECT, UPDATE ON verification_change_counter TO gateway_service;
GRANT SELECT, INSERT ON verification_request TO gateway_service;
