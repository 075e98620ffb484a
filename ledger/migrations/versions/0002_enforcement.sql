-- Roles belong to the whole server, so another database's migration may have made this one a moment ago.
DO $$
BEGIN
    -- Where an administrator has made it, the owner needs no right to make roles.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ledger_service') THEN
        CREATE ROLE ledger_service NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

-- The owner's login may also be the service's; superusers are members of every role already.
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'ledger_service', 'MEMBER') THEN
        EXECUTE format('GRANT ledger_service TO %I', current_user);
    END IF;
END
$$;

-- The schema is `public` unless the shard has one of its own.
DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM ledger_service', current_schema());
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO ledger_service', current_schema());
END
$$;
GRANT SELECT, INSERT ON ledgers, accounts, account_closures, transactions, entries, decisions
TO ledger_service;
GRANT SELECT, INSERT, UPDATE ON ledger_heads, balances, holds TO ledger_service;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: the ledger is append-only', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation';
END
$$;

-- ALWAYS: also when session_replication_role says that ordinary triggers are off.
DO $$
DECLARE
    kept text;
BEGIN
    FOREACH kept IN ARRAY ARRAY[
        'ledgers', 'accounts', 'account_closures', 'transactions', 'entries', 'decisions'
    ] LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', kept
        );
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', kept);
    END LOOP;
    FOREACH kept IN ARRAY ARRAY['ledger_heads', 'balances', 'holds'] LOOP
        EXECUTE format(
            'CREATE TRIGGER never_removed BEFORE DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', kept
        );
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER never_removed', kept);
    END LOOP;
END
$$;

-- Every statement that adds transactions has to add all their entries, and the sequence has no gaps. One
-- query over the span of the new rows: asking for each row by itself costs more than the insert.
CREATE FUNCTION check_added_transactions() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_nestloop = off
AS $$
DECLARE
    wrong record;
BEGIN
    SELECT s.ledger_id, s.first_sequence, s.follows INTO wrong
    FROM (
        SELECT
            n.*,
            n.last_sequence - n.first_sequence + 1 = n.added
            AND EXISTS (SELECT FROM ledgers AS l WHERE l.ledger_id = n.ledger_id)
            AND (n.first_sequence = 1 OR EXISTS (
                SELECT FROM transactions AS t
                WHERE t.ledger_id = n.ledger_id
                    AND t.sequence = n.first_sequence - 1
                    AND t.record_time <= n.first_time
            )) AS follows
        FROM (
            SELECT
                a.ledger_id,
                min(a.sequence) AS first_sequence,
                max(a.sequence) AS last_sequence,
                count(*) AS added,
                min(a.record_time) AS first_time
            FROM added AS a
            GROUP BY a.ledger_id
        ) AS n
    ) AS s
    WHERE NOT s.follows
        OR s.added <> (
            SELECT count(*)
            FROM added AS a
            INNER JOIN (
                SELECT e.sequence, count(*) AS entry_count
                FROM entries AS e
                WHERE e.ledger_id = s.ledger_id
                    AND e.sequence BETWEEN s.first_sequence AND s.last_sequence
                GROUP BY e.sequence
            ) AS w ON a.sequence = w.sequence AND a.entry_count = w.entry_count
            WHERE a.ledger_id = s.ledger_id
        )
    LIMIT 1;
    IF FOUND AND NOT wrong.follows THEN
        RAISE EXCEPTION 'transaction % of ledger % does not follow the one before it',
            wrong.first_sequence, wrong.ledger_id
        USING ERRCODE = 'check_violation';
    ELSIF FOUND THEN
        RAISE EXCEPTION 'a transaction from % on of ledger % has no entries, or not all of them',
            wrong.first_sequence, wrong.ledger_id
        USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

-- Every statement that adds entries adds whole transactions, which balance per currency and effect, on
-- accounts that exist and are open. An entry has no currency but its account's. Entries are numbered from 0
-- without gaps, so that the primary key keeps anyone from adding to a transaction later; and there are as
-- many transactions as sequences in the span, so that with the check above each has its own.
CREATE FUNCTION check_added_entries() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off
AS $$
DECLARE
    wrong record;
BEGIN
    SELECT w.ledger_id, w.sequence, w.known, w.opened, w.unbalanced INTO wrong
    FROM (
        SELECT
            l.ledger_id,
            l.sequence,
            sum(l.entry_count) = max(l.numbered) AS whole,
            bool_and(l.currency_code IS NOT NULL) AS known,
            bool_and(l.opened) AS opened,
            min(l.currency_code) FILTER (WHERE l.difference <> 0) AS unbalanced
        FROM (
            SELECT
                a.ledger_id,
                a.sequence,
                c.currency_code,
                count(*) AS entry_count,
                max(a.entry_index) + 1 AS numbered,
                bool_and(x.last_sequence IS NULL OR a.sequence <= x.last_sequence) AS opened,
                sum(CASE a.direction WHEN 1 THEN a.amount ELSE -a.amount END) AS difference
            FROM added AS a
            LEFT JOIN accounts AS c
                ON a.ledger_id = c.ledger_id AND a.account_number = c.account_number
            LEFT JOIN account_closures AS x
                ON a.ledger_id = x.ledger_id AND a.account_number = x.account_number
            GROUP BY a.ledger_id, a.sequence, a.effect, c.currency_code
        ) AS l
        GROUP BY l.ledger_id, l.sequence
    ) AS w
    WHERE NOT (w.whole AND w.known AND w.opened AND w.unbalanced IS NULL)
    LIMIT 1;
    IF FOUND AND NOT wrong.known THEN
        RAISE EXCEPTION 'transaction % of ledger % has an entry on an unknown account',
            wrong.sequence, wrong.ledger_id
        USING ERRCODE = 'foreign_key_violation';
    ELSIF FOUND AND NOT wrong.opened THEN
        RAISE EXCEPTION 'transaction % of ledger % has an entry on a closed account',
            wrong.sequence, wrong.ledger_id
        USING ERRCODE = 'check_violation';
    ELSIF FOUND AND wrong.unbalanced IS NOT NULL THEN
        RAISE EXCEPTION 'transaction % of ledger % does not balance in %',
            wrong.sequence, wrong.ledger_id, wrong.unbalanced
        USING ERRCODE = 'check_violation';
    ELSIF FOUND THEN
        RAISE EXCEPTION 'entries of transaction % of ledger % are not the whole transaction',
            wrong.sequence, wrong.ledger_id
        USING ERRCODE = 'check_violation';
    END IF;

    SELECT s.ledger_id, s.first_sequence INTO wrong
    FROM (
        SELECT
            a.ledger_id,
            min(a.sequence) AS first_sequence,
            max(a.sequence) AS last_sequence,
            count(*) AS added
        FROM added AS a
        WHERE a.entry_index = 0
        GROUP BY a.ledger_id
    ) AS s
    WHERE s.added <> (
        SELECT count(*)
        FROM transactions AS t
        WHERE t.ledger_id = s.ledger_id
            AND t.sequence BETWEEN s.first_sequence AND s.last_sequence
    )
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entries from transaction % on of ledger % are without their transaction',
            wrong.first_sequence, wrong.ledger_id
        USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER whole_and_gapless AFTER INSERT ON transactions
REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION check_added_transactions();
ALTER TABLE transactions ENABLE ALWAYS TRIGGER whole_and_gapless;

CREATE TRIGGER balanced AFTER INSERT ON entries
REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION check_added_entries();
ALTER TABLE entries ENABLE ALWAYS TRIGGER balanced;
