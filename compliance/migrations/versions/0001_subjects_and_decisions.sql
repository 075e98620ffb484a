-- Roles belong to the whole server: this one may be there already, made by whoever runs the server or
-- by another database's migration at this very moment.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'compliance_service') THEN
        CREATE ROLE compliance_service NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

-- Says no to whoever changes what is kept for good; the owner included.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', tg_table_name, tg_op
        USING ERRCODE = 'restrict_violation';
END
$$;

-- Requests that changed something, with the first answer, kept for good.
CREATE TABLE mutation (
    method text NOT NULL,
    request_id text NOT NULL,
    request bytea NOT NULL,
    -- Exactly one of the two is set: the answer, or the google.rpc.Status of a decided failure.
    response bytea,
    failure bytea,
    record_time timestamptz NOT NULL,
    PRIMARY KEY (method, request_id)
);

CREATE TABLE subject (
    subject_id text PRIMARY KEY,
    -- The order of creation, which lists go by.
    ordinal bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    kind text NOT NULL CHECK (kind IN ('MERCHANT', 'OWNER', 'CUSTOMER')),
    legal_name text NOT NULL,
    aliases text [] NOT NULL,
    entity_kind text NOT NULL CHECK (entity_kind IN ('UNSPECIFIED', 'INDIVIDUAL', 'ORGANIZATION')),
    birth_date text NOT NULL,
    country_code text NOT NULL,
    parent_subject_id text REFERENCES subject (subject_id),
    corridor text,
    connected_account_id text UNIQUE,
    state text NOT NULL CHECK (state IN ('ACTIVE', 'BLOCKED', 'CLOSED')),
    kyc_state text NOT NULL CHECK (
        kyc_state IN ('NOT_STARTED', 'PENDING', 'VERIFIED', 'REJECTED')
    ),
    kyc_verify_time timestamptz,
    kyc_expire_time timestamptz,
    revision bigint NOT NULL,
    -- The revision that last changed the profile: what screenings and cleared matches hold for.
    profile_revision bigint NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    CHECK ((corridor IS NULL) = (connected_account_id IS NULL))
);
CREATE INDEX subject_by_parent ON subject (parent_subject_id, ordinal)
WHERE parent_subject_id IS NOT NULL;
-- A merchant may have a million customers and has a few owners, which every check looks at.
CREATE INDEX subject_owner ON subject (parent_subject_id, ordinal) WHERE kind = 'OWNER';

-- Every state that a subject was ever in, with the grounds of the change.
CREATE TABLE subject_change (
    subject_id text NOT NULL REFERENCES subject (subject_id),
    revision bigint NOT NULL,
    change text NOT NULL,
    note text NOT NULL,
    client text NOT NULL,
    content jsonb NOT NULL,
    record_time timestamptz NOT NULL,
    PRIMARY KEY (subject_id, revision)
);

-- What Stripe said of connected accounts: each content once, never changed.
CREATE TABLE account_snapshot (
    connected_account_id text NOT NULL,
    content_hash text NOT NULL,
    content jsonb NOT NULL,
    record_time timestamptz NOT NULL,
    PRIMARY KEY (connected_account_id, content_hash)
);

-- The snapshot that holds now, and when it was last seen to hold.
CREATE TABLE account_latest (
    connected_account_id text PRIMARY KEY,
    corridor text NOT NULL,
    gateway_merchant_id text NOT NULL,
    content_hash text NOT NULL,
    fetch_time timestamptz NOT NULL,
    FOREIGN KEY (connected_account_id, content_hash)
    REFERENCES account_snapshot (connected_account_id, content_hash)
);
CREATE INDEX account_latest_by_fetch_time ON account_latest (fetch_time);

-- What is due by the latest snapshots, for lists over all merchants.
CREATE TABLE account_requirement (
    connected_account_id text NOT NULL REFERENCES account_latest (connected_account_id),
    field text NOT NULL,
    severity smallint NOT NULL,
    -- The end of the year 9999 where Stripe gives none: keyset paging needs a value to compare.
    deadline_time timestamptz NOT NULL,
    content jsonb NOT NULL,
    PRIMARY KEY (connected_account_id, field)
);
CREATE INDEX account_requirement_by_deadline
ON account_requirement (deadline_time, connected_account_id, field);

CREATE TABLE list_version (
    list text NOT NULL,
    version bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('STAGED', 'ACTIVE', 'RETIRED')),
    checksum bytea NOT NULL,
    entry_count integer NOT NULL,
    added_count integer NOT NULL,
    changed_count integer NOT NULL,
    removed_count integer NOT NULL,
    create_time timestamptz NOT NULL,
    activate_time timestamptz,
    confirm_time timestamptz NOT NULL,
    PRIMARY KEY (list, version)
);
CREATE UNIQUE INDEX list_version_active ON list_version (list) WHERE state = 'ACTIVE';

-- Each state of each entry with the versions that hold it: a version's entries are those with
-- first_version <= version and (last_version IS NULL or last_version >= version).
CREATE TABLE list_entry (
    list text NOT NULL,
    entry_id text NOT NULL,
    first_version bigint NOT NULL,
    last_version bigint,
    content_hash text NOT NULL,
    content jsonb NOT NULL,
    PRIMARY KEY (list, entry_id, first_version)
);

-- How the last load of each list went.
CREATE TABLE list_attempt (
    list text PRIMARY KEY,
    attempt_time timestamptz NOT NULL,
    defect text NOT NULL
);

-- What each subject was last screened against.
CREATE TABLE screening (
    subject_id text NOT NULL REFERENCES subject (subject_id),
    list text NOT NULL,
    profile_revision bigint NOT NULL,
    list_version bigint NOT NULL,
    screen_time timestamptz NOT NULL,
    PRIMARY KEY (subject_id, list)
);

CREATE INDEX screening_by_version ON screening (list, list_version);

CREATE TABLE match (
    match_id text PRIMARY KEY,
    ordinal bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    subject_id text NOT NULL REFERENCES subject (subject_id),
    list text NOT NULL,
    entry_id text NOT NULL,
    entry_hash text NOT NULL,
    entry_name text NOT NULL,
    programs text [] NOT NULL,
    score double precision NOT NULL,
    explanation jsonb NOT NULL,
    state text NOT NULL CHECK (state IN ('OPEN', 'CLEARED', 'CONFIRMED', 'OBSOLETE')),
    decision_note text NOT NULL,
    profile_revision bigint NOT NULL,
    list_version bigint NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    UNIQUE (subject_id, list, entry_id)
);
CREATE INDEX match_by_entry ON match (list, entry_id);

-- Every state that a match was ever in, and who brought it there.
CREATE TABLE match_change (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    match_id text NOT NULL REFERENCES match (match_id),
    state text NOT NULL,
    note text NOT NULL,
    client text NOT NULL,
    record_time timestamptz NOT NULL
);

CREATE TABLE policy_version (
    policy_version text PRIMARY KEY,
    ordinal bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    state text NOT NULL CHECK (state IN ('DRAFT', 'SHADOW', 'ACTIVE', 'RETIRED')),
    -- Canonical JSON; text, because its hash is over exactly these characters.
    document text NOT NULL,
    content_hash bytea NOT NULL,
    create_time timestamptz NOT NULL,
    activate_time timestamptz
);
CREATE UNIQUE INDEX policy_version_active ON policy_version (state) WHERE state = 'ACTIVE';

-- The decision log. Writers give record and request; the rest follows from them, so that no
-- column can say other than what is hashed.
CREATE TABLE decision (
    sequence bigint PRIMARY KEY,
    -- Canonical JSON: input, facts, verdict, reasons, evidence, policy version, times.
    record text NOT NULL,
    -- The check's request as protobuf, to name what differs when its request_id is used again.
    request bytea NOT NULL,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    decision_id text NOT NULL GENERATED ALWAYS AS (record::jsonb ->> 'decision_id') STORED,
    kind text NOT NULL GENERATED ALWAYS AS (record::jsonb ->> 'kind') STORED,
    request_id text NOT NULL GENERATED ALWAYS AS (record::jsonb ->> 'request_id') STORED,
    reference_id text NOT NULL GENERATED ALWAYS AS (record::jsonb ->> 'reference_id') STORED,
    merchant_id text NOT NULL
    GENERATED ALWAYS AS (record::jsonb ->> 'merchant_id') STORED,
    verdict text NOT NULL GENERATED ALWAYS AS (record::jsonb ->> 'verdict') STORED,
    -- Microseconds since 1970: a cast to timestamptz depends on settings and cannot be generated.
    record_time_us bigint NOT NULL
    GENERATED ALWAYS AS ((record::jsonb ->> 'record_time_us')::bigint) STORED,
    UNIQUE (decision_id),
    UNIQUE (kind, request_id)
);
CREATE INDEX decision_by_merchant ON decision (merchant_id, sequence);
CREATE INDEX decision_by_reference ON decision (reference_id, sequence);

-- Gives each decision its place and hash. One writer at a time: the lock ends with the
-- transaction, so the next one sees the committed head.
CREATE FUNCTION chain_decision() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('compliance.decision', 0));
    SELECT sequence, hash INTO head FROM decision ORDER BY sequence DESC LIMIT 1;
    NEW.sequence := coalesce(head.sequence, 0) + 1;
    NEW.previous_hash := coalesce(head.hash, decode(repeat('00', 32), 'hex'));
    NEW.hash := sha256(
        NEW.previous_hash || sha256(NEW.request) || convert_to(NEW.record, 'UTF8')
    );
    RETURN NEW;
END
$$;
CREATE TRIGGER decision_is_chained BEFORE INSERT ON decision
FOR EACH ROW EXECUTE FUNCTION chain_decision();

DO $$
DECLARE
    kept text;
BEGIN
    FOREACH kept IN ARRAY ARRAY[
        'decision', 'mutation', 'subject_change', 'match_change', 'account_snapshot'
    ] LOOP
        EXECUTE format(
            'CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
            kept || '_is_append_only', kept
        );
        EXECUTE format('GRANT SELECT, INSERT ON %I TO compliance_service', kept);
    END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE ON
subject, account_latest, list_version, list_entry, list_attempt, screening, match, policy_version
TO compliance_service;
GRANT SELECT, INSERT, DELETE ON account_requirement TO compliance_service;
