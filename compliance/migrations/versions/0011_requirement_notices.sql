-- When an account is to be looked at next for its merchant; NULL if nothing is wanted. A trigger says
-- that it has changed, and counts, so that a change during a look is not lost.
CREATE TABLE collection_watch (
    connected_account_id text PRIMARY KEY,
    change_count bigint NOT NULL,
    look_time timestamptz
);
CREATE INDEX collection_watch_by_look_time ON collection_watch (look_time) WHERE look_time IS NOT NULL;

CREATE FUNCTION note_collection_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.content_hash <> OLD.content_hash THEN
        INSERT INTO collection_watch AS known (connected_account_id, change_count, look_time)
        VALUES (NEW.connected_account_id, 1, '-infinity')
        ON CONFLICT (connected_account_id)
        DO UPDATE SET change_count = known.change_count + 1, look_time = '-infinity';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER collection_change_is_noted AFTER INSERT OR UPDATE ON account_latest
FOR EACH ROW EXECUTE FUNCTION note_collection_change();
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION note_collection_change() SET search_path = pg_catalog, %I, pg_temp', current_schema()
    );
END
$$;
INSERT INTO collection_watch (connected_account_id, change_count, look_time)
SELECT
    connected_account_id,
    1,
    '-infinity'
FROM account_latest;

-- What was told, for good; content is canonical JSON. Only who holds collection_progress writes, so that who has read
-- up to a sequence has missed none below it.
CREATE TABLE requirement_notice (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connected_account_id text NOT NULL,
    merchant_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('FIRST', 'REMINDER', 'CHANGED', 'ATTEMPTS_LOW', 'ANSWERED')),
    content jsonb NOT NULL,
    record_time timestamptz NOT NULL
);
CREATE INDEX requirement_notice_by_account ON requirement_notice (connected_account_id, sequence);
CREATE INDEX requirement_notice_by_merchant ON requirement_notice (merchant_id, sequence);

-- The e-mail of a notice, if it has one. attempt_count is also the fencing token of who sends it.
CREATE TABLE notice_mail (
    sequence bigint PRIMARY KEY REFERENCES requirement_notice (sequence),
    connected_account_id text NOT NULL,
    state text NOT NULL CHECK (state IN ('PENDING', 'SENT', 'DEAD', 'OBSOLETE')),
    attempt_count integer NOT NULL,
    next_attempt_time timestamptz NOT NULL,
    failure text NOT NULL
);
CREATE INDEX notice_mail_pending ON notice_mail (next_attempt_time) WHERE state = 'PENDING';
CREATE INDEX notice_mail_open ON notice_mail (connected_account_id) WHERE state IN ('PENDING', 'DEAD');
CREATE INDEX notice_mail_by_state ON notice_mail (state, sequence);

-- Where a merchant's notices go; the operator gets those of the others. Personal: a row can be deleted.
CREATE TABLE notice_address (
    merchant_id text PRIMARY KEY,
    email_address text NOT NULL,
    update_time timestamptz NOT NULL
);

-- Who looks holds this row.
CREATE TABLE collection_progress (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row)
);
INSERT INTO collection_progress (only_row) VALUES (TRUE);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON requirement_notice
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE requirement_notice ENABLE ALWAYS TRIGGER append_only;
GRANT SELECT, INSERT ON requirement_notice TO compliance_service;
GRANT SELECT, INSERT, UPDATE ON collection_watch, notice_mail TO compliance_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON notice_address TO compliance_service;
GRANT SELECT, UPDATE ON collection_progress TO compliance_service;
