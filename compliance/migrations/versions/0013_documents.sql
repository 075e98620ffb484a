-- Documents on their way to Stripe, and what came of them. sealed is the encrypted content, until it is destroyed.
-- fence counts claims: what a claim writes is dropped when another one has been made since. forward_count and
-- attach_count are in the request ids that the gateway is asked with, and change only when it has said that nothing
-- happened.
CREATE TABLE document (
    document_id text PRIMARY KEY,
    ordinal bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    merchant_id text NOT NULL,
    connected_account_id text NOT NULL,
    field text NOT NULL,
    person_id text NOT NULL,
    side text NOT NULL CHECK (side IN ('', 'FRONT', 'BACK')),
    with_other_side boolean NOT NULL,
    purpose text NOT NULL,
    content_type text NOT NULL,
    size_bytes integer NOT NULL,
    sealed bytea,
    state text NOT NULL CHECK (
        state IN ('RECEIVED', 'CHECKED', 'FORWARDED', 'ATTACHED', 'ACCEPTED', 'REFUSED', 'REPLACED')
    ),
    refusal text NOT NULL CHECK (
        refusal IN ('', 'INFECTED', 'NOT_TAKEN', 'NOT_VERIFIED', 'EXPIRED', 'WITHDRAWN')
    ),
    error_codes text[] NOT NULL,
    file_id text NOT NULL,
    forward_count integer NOT NULL,
    attach_count integer NOT NULL,
    failure text NOT NULL,
    failure_count integer NOT NULL,
    fence bigint NOT NULL,
    next_attempt_time timestamptz,
    create_time timestamptz NOT NULL,
    state_time timestamptz NOT NULL,
    attach_time timestamptz,
    destroy_time timestamptz NOT NULL,
    CHECK ((refusal <> '') = (state = 'REFUSED'))
);
CREATE INDEX document_due ON document (next_attempt_time) WHERE next_attempt_time IS NOT NULL;
CREATE INDEX document_to_destroy ON document (destroy_time) WHERE sealed IS NOT NULL;
CREATE INDEX document_open ON document (state, state_time)
WHERE state IN ('RECEIVED', 'CHECKED', 'FORWARDED', 'ATTACHED');
CREATE INDEX document_by_merchant ON document (merchant_id, ordinal);
CREATE INDEX document_by_state ON document (state, ordinal);
CREATE INDEX document_by_field ON document (connected_account_id, field, ordinal);
GRANT SELECT, INSERT, UPDATE ON document TO compliance_service;
