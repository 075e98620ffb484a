-- Roles belong to the whole server: this one may be there already, made by whoever runs the server or
-- by another database's migration at this very moment.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reconciliation_service') THEN
        CREATE ROLE reconciliation_service NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

-- The owner's login may also be the service's; superusers are members of every role already.
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'reconciliation_service', 'MEMBER') THEN
        EXECUTE format('GRANT reconciliation_service TO %I', current_user);
    END IF;
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
    failure bytea CHECK (num_nonnulls(response, failure) = 1),
    record_time timestamptz NOT NULL,
    PRIMARY KEY (method, request_id)
);

-- What operators have changed: who, by which call, about what; written before it is done. How it ended follows.
CREATE TABLE operator_act (
    act_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client text COLLATE "C" NOT NULL CHECK (client <> ''),
    method text NOT NULL CHECK (method <> ''),
    request_id text NOT NULL,
    about jsonb NOT NULL,
    begin_time timestamptz NOT NULL
);
CREATE INDEX operator_act_about ON operator_act USING gin (about jsonb_path_ops);
CREATE INDEX operator_act_client ON operator_act (client, act_number);

CREATE TABLE operator_act_outcome (
    act_number bigint PRIMARY KEY REFERENCES operator_act (act_number),
    outcome text NOT NULL CHECK (outcome <> ''),
    end_time timestamptz NOT NULL
);

-- Each batch that was taken from a source, with where the source goes on after it.
CREATE TABLE intake (
    intake_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_name text COLLATE "C" NOT NULL,
    cursor text NOT NULL,
    items integer NOT NULL CHECK (items >= 0),
    record_time timestamptz NOT NULL
);
CREATE INDEX intake_by_source ON intake (source_name, intake_number);

-- What is reconciled, as it came. What a source knows of an item later is a further revision, a row of its own
-- with the item_id of the first.
CREATE SEQUENCE item_ordinals;
CREATE TABLE item (
    -- The order in which rows were committed: one intake at a time.
    ordinal bigint PRIMARY KEY,
    -- The ordinal of the item's first row.
    item_id bigint NOT NULL CHECK (item_id <= ordinal),
    source text COLLATE "C" NOT NULL CHECK (source IN ('LEDGER', 'STRIPE', 'PAYOUT', 'BANK')),
    corridor text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    revision bigint NOT NULL CHECK (revision > 0),
    currency text COLLATE "C" NOT NULL,
    amount_minor bigint NOT NULL,
    instant timestamptz NOT NULL,
    book_date date NOT NULL,
    -- Of the bytes that the source gave.
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    tokens text [] COLLATE "C" NOT NULL,
    group_key text COLLATE "C" NOT NULL,
    state text NOT NULL CHECK (state IN ('PENDING', 'BOOKED', 'RETURNED')),
    content text NOT NULL CHECK (content IN ('NONE', 'IN_PROGRESS', 'COMPLETE')),
    intake_number bigint NOT NULL
);
CREATE UNIQUE INDEX item_by_key ON item (source, corridor, key, revision);
CREATE INDEX item_revisions ON item (item_id) WHERE item_id <> ordinal;
CREATE INDEX item_by_group ON item (corridor, group_key) WHERE group_key <> '';
CREATE INDEX item_by_amount ON item (corridor, currency, amount_minor) WHERE source IN ('PAYOUT', 'BANK');

-- The references of items, to find those that have one in common.
CREATE TABLE item_token (
    corridor text COLLATE "C" NOT NULL,
    token text COLLATE "C" NOT NULL,
    item_id bigint NOT NULL,
    -- Of the row that brought it.
    ordinal bigint NOT NULL,
    PRIMARY KEY (corridor, token, item_id)
);

-- Every change of what is matched and what differs; the rows that it made have its number. One at a time.
CREATE TABLE change (
    change_number bigint PRIMARY KEY,
    -- What made it: a run over new items, a look at what has become due, or a person.
    cause text NOT NULL CHECK (cause IN ('RUN', 'PERSON')),
    -- Items up to there have been looked at, and differences that were due up to there have been told of.
    last_ordinal bigint NOT NULL,
    due_until timestamptz NOT NULL,
    rules_version integer NOT NULL,
    policy_version text NOT NULL,
    record_time timestamptz NOT NULL
);
CREATE INDEX change_by_time ON change (record_time);

CREATE SEQUENCE item_match_ids;
CREATE TABLE item_match (
    match_id bigint PRIMARY KEY,
    leg text NOT NULL CHECK (leg IN ('BOOKED', 'CONTENT', 'BANKED')),
    rule text NOT NULL CHECK (rule IN ('REFERENCE', 'GROUP_SUM', 'UNIQUE_AMOUNT', 'PERSON')),
    change_number bigint NOT NULL,
    client text NOT NULL,
    note text NOT NULL CHECK ((client <> '') = (rule = 'PERSON'))
);

CREATE TABLE match_revocation (
    match_id bigint PRIMARY KEY REFERENCES item_match (match_id),
    change_number bigint NOT NULL,
    -- Empty where the rules no longer say so.
    client text NOT NULL,
    note text NOT NULL
);
CREATE INDEX match_revocation_by_person ON match_revocation (match_id) WHERE client <> '';

-- Items that do not agree: expected until `due`, a break from then on.
CREATE SEQUENCE difference_ids;
CREATE TABLE difference (
    difference_id bigint PRIMARY KEY,
    leg text NOT NULL CHECK (leg IN ('BOOKED', 'CONTENT', 'BANKED')),
    kind text NOT NULL,
    corridor text NOT NULL,
    -- By currency, in minor units.
    amounts jsonb NOT NULL,
    since timestamptz NOT NULL,
    due timestamptz NOT NULL,
    overdue timestamptz NOT NULL,
    sentence text NOT NULL,
    proposal bigint [] NOT NULL,
    change_number bigint NOT NULL
);
CREATE INDEX difference_by_due ON difference (due, difference_id);

CREATE TABLE difference_end (
    difference_id bigint PRIMARY KEY REFERENCES difference (difference_id),
    change_number bigint NOT NULL
);

-- Who wants an item to be left alone, and the second one who agrees.
CREATE TABLE ignore_step (
    leg text NOT NULL CHECK (leg IN ('BOOKED', 'CONTENT', 'BANKED')),
    item_id bigint NOT NULL REFERENCES item (ordinal),
    step smallint NOT NULL CHECK (step IN (1, 2)),
    client text NOT NULL CHECK (client <> ''),
    note text NOT NULL CHECK (note <> ''),
    change_number bigint NOT NULL,
    PRIMARY KEY (leg, item_id, step),
    -- Two people.
    UNIQUE (leg, item_id, client)
);

-- How an item stands in a leg: the row of the highest generation. The next one may only follow once what the
-- row before names has ended, and the key lets one writer add it: so no item is in two matches that stand, nor
-- in a match and in a difference.
CREATE TABLE standing (
    leg text COLLATE "C" NOT NULL CHECK (leg IN ('BOOKED', 'CONTENT', 'BANKED')),
    item_id bigint NOT NULL,
    generation integer NOT NULL CHECK (generation >= 0),
    match_id bigint,
    difference_id bigint,
    is_ignored boolean NOT NULL DEFAULT FALSE,
    -- How much of the item a match takes.
    amount_minor bigint CHECK ((amount_minor IS NULL) = (match_id IS NULL)),
    CHECK (num_nonnulls(match_id, difference_id) + is_ignored::integer = 1),
    PRIMARY KEY (leg, item_id, generation)
);
CREATE INDEX standing_by_match ON standing (match_id) WHERE match_id IS NOT NULL;
CREATE INDEX standing_by_difference ON standing (difference_id) WHERE difference_id IS NOT NULL;

-- What happened to breaks. WatchBreaks follows the sequence.
CREATE TABLE break_event (
    sequence bigint PRIMARY KEY,
    difference_id bigint NOT NULL REFERENCES difference (difference_id),
    event text NOT NULL CHECK (event IN ('OPENED', 'ASSIGNED', 'NOTED', 'ENDED')),
    assignee text NOT NULL,
    client text NOT NULL,
    note text NOT NULL,
    record_time timestamptz NOT NULL
);
CREATE INDEX break_event_by_difference ON break_event (difference_id, sequence);

-- Gives each change its number, while nobody else has one.
CREATE FUNCTION number_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('reconciliation.change', 0));
    NEW.change_number := coalesce((SELECT max(change_number) FROM change), 0) + 1;
    RETURN NEW;
END
$$;
CREATE TRIGGER change_is_numbered BEFORE INSERT ON change
FOR EACH ROW EXECUTE FUNCTION number_change();

-- Gives each event its place: who has read up to a sequence has missed none below it.
CREATE FUNCTION number_break_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('reconciliation.break_event', 0));
    NEW.sequence := coalesce((SELECT max(sequence) FROM break_event), 0) + 1;
    PERFORM pg_notify('reconciliation_break', '');
    RETURN NEW;
END
$$;
CREATE TRIGGER break_event_is_numbered BEFORE INSERT ON break_event
FOR EACH ROW EXECUTE FUNCTION number_break_event();

-- A further revision is of the item that it says, and does not change what never changes.
CREATE FUNCTION check_items() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT
        FROM added AS a
        LEFT JOIN item AS f ON a.item_id = f.ordinal
        WHERE
            a.item_id <> a.ordinal
            AND (f.source, f.corridor, f.key, f.currency, f.amount_minor, f.instant)
            IS DISTINCT FROM (a.source, a.corridor, a.key, a.currency, a.amount_minor, a.instant)
    ) THEN
        RAISE EXCEPTION 'a revision differs from its item in what never changes'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER items_are_true AFTER INSERT ON item REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION check_items();

-- The sums of each match, per currency, what it takes of its items, and what each row follows. A statement adds
-- whole matches, so that what it adds to one has to agree by itself.
CREATE FUNCTION check_standings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT
        FROM added AS a
        LEFT JOIN item AS i ON a.item_id = i.ordinal
        LEFT JOIN item_match AS m ON a.match_id = m.match_id AND a.leg = m.leg
        WHERE
            i.item_id IS DISTINCT FROM a.item_id
            OR CASE a.leg
                WHEN 'BOOKED' THEN i.source NOT IN ('LEDGER', 'STRIPE')
                WHEN 'CONTENT' THEN i.source NOT IN ('STRIPE', 'PAYOUT')
                ELSE i.source NOT IN ('PAYOUT', 'BANK')
            END
            OR (
                a.match_id IS NOT NULL
                AND (
                    m.match_id IS NULL
                    OR abs(a.amount_minor) > abs(i.amount_minor)
                    OR sign(a.amount_minor) <> sign(i.amount_minor)
                )
            )
    ) THEN
        RAISE EXCEPTION 'an allocation exceeds its item, has another sign, or no place in its leg'
            USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (
        SELECT
        FROM added AS a
        INNER JOIN item AS i ON a.item_id = i.ordinal
        WHERE a.match_id IS NOT NULL
        GROUP BY GROUPING SETS ((a.match_id, i.currency), (a.match_id))
        HAVING
            CASE
                WHEN grouping(i.currency) = 1 THEN min(i.source) = max(i.source)
                ELSE sum(
                    CASE
                        WHEN i.source IN ('LEDGER', 'BANK') THEN a.amount_minor
                        WHEN i.source = 'STRIPE' AND a.leg = 'CONTENT' THEN a.amount_minor
                        ELSE -a.amount_minor
                    END
                ) <> 0
            END
    ) THEN
        RAISE EXCEPTION 'the two sides of a match differ'
            USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (
        SELECT
        FROM added AS a
        LEFT JOIN standing AS b
            ON a.leg = b.leg AND a.item_id = b.item_id AND b.generation = a.generation - 1
        LEFT JOIN match_revocation AS r ON b.match_id = r.match_id
        LEFT JOIN difference_end AS e ON b.difference_id = e.difference_id
        WHERE a.generation > 0 AND r.match_id IS NULL AND e.difference_id IS NULL
    ) THEN
        RAISE EXCEPTION 'what an item is in has not ended'
            USING ERRCODE = 'exclusion_violation';
    END IF;
    IF EXISTS (
        SELECT
        FROM added AS a
        WHERE
            a.is_ignored
            AND (
                SELECT count(*) FROM ignore_step AS s WHERE s.leg = a.leg AND s.item_id = a.item_id
            ) <> 2
    ) THEN
        RAISE EXCEPTION 'an item is ignored by two people, not fewer'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER standings_are_true AFTER INSERT ON standing REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION check_standings();

-- A match comes with its allocations.
CREATE FUNCTION check_matches() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added AS a LEFT JOIN standing AS s ON a.match_id = s.match_id WHERE s.match_id IS NULL
    ) THEN
        RAISE EXCEPTION 'a match has no allocations' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER matches_are_true AFTER INSERT ON item_match REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION check_matches();

-- ALWAYS: also when session_replication_role says that ordinary triggers are off.
DO $$
DECLARE
    kept text;
    checking regprocedure;
BEGIN
    FOREACH kept IN ARRAY ARRAY[
        'mutation', 'operator_act', 'operator_act_outcome', 'intake', 'item', 'item_token', 'change', 'item_match',
        'match_revocation', 'difference', 'difference_end', 'ignore_step', 'standing', 'break_event'
    ] LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', kept
        );
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', kept);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO reconciliation_service', kept);
    END LOOP;
    ALTER TABLE item ENABLE ALWAYS TRIGGER items_are_true;
    ALTER TABLE standing ENABLE ALWAYS TRIGGER standings_are_true;
    ALTER TABLE item_match ENABLE ALWAYS TRIGGER matches_are_true;
    GRANT USAGE ON SEQUENCE item_ordinals, item_match_ids, difference_ids TO reconciliation_service;
    -- Names are looked up where nobody can put others in their place.
    FOR checking IN
        SELECT p.oid::regprocedure
        FROM pg_proc AS p
        WHERE p.pronamespace = current_schema()::regnamespace AND p.prorettype = 'trigger'::regtype
    LOOP
        EXECUTE format(
            'ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp', checking, current_schema()
        );
    END LOOP;
    -- Nothing of ours makes temporary tables.
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO reconciliation_service', current_schema());
END
$$;
