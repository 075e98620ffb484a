-- Checks of subjects' identity by Stripe Identity, as the gateway last told. Nothing personal is here: no name, no
-- birth date, no document, no link.
CREATE TABLE verification (
    verification_id text PRIMARY KEY,
    ordinal bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    subject_id text NOT NULL,
    type text NOT NULL CHECK (type IN ('DOCUMENT', 'ID_NUMBER')),
    state text NOT NULL CHECK (
        state IN ('CREATING', 'REQUIRES_INPUT', 'PROCESSING', 'VERIFIED', 'CANCELED', 'FAILED')
    ),
    error_code text NOT NULL,
    redaction text NOT NULL CHECK (redaction IN ('', 'PROCESSING', 'REDACTED')),
    with_selfie boolean NOT NULL,
    stripe_session_id text NOT NULL,
    verify_time timestamptz,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    -- The gateway's change that this is from: an earlier one does not overwrite it.
    epoch bigint NOT NULL,
    sequence bigint NOT NULL
);
CREATE INDEX verification_by_subject ON verification (subject_id, ordinal);
CREATE INDEX verification_by_state ON verification (state, ordinal);

-- What checks go by, of each subject that was asked to be verified: written with each change above.
CREATE TABLE subject_identity (
    subject_id text PRIMARY KEY,
    content jsonb NOT NULL
);

-- How far the gateway's feed of verifications was followed.
CREATE TABLE verification_watch (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    -- What the sequence belongs to; higher each time that the gateway was restored from a backup.
    epoch bigint NOT NULL,
    sequence bigint NOT NULL
);
INSERT INTO verification_watch (epoch, sequence) VALUES (0, 0);

GRANT SELECT, INSERT, UPDATE ON verification, subject_identity TO compliance_service;
GRANT SELECT, UPDATE ON verification_watch TO compliance_service;
