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

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM ledger_service;
GRANT USAGE ON SCHEMA public TO ledger_service;
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

-- Every statement that adds transactions has to add all their entries, and the sequence has no gaps.
CREATE FUNCTION check_added_transactions() RETURNS trigger LANGUAGE plpgsql
AS $$
DECLARE
    wrong record;
BEGIN
    SELECT a.ledger_id, a.sequence INTO wrong
    FROM added AS a
    WHERE NOT EXISTS (
        SELECT FROM entries AS e
        WHERE e.ledger_id = a.ledger_id
            AND e.sequence = a.sequence
            AND e.entry_index = a.entry_count - 1
    )
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'transaction % of ledger % has no entries', wrong.sequence, wrong.ledger_id
        USING ERRCODE = 'check_violation';
    END IF;

    SELECT s.ledger_id, s.first_sequence INTO wrong
    FROM (
        SELECT
            a.ledger_id,
            min(a.sequence) AS first_sequence,
            max(a.sequence) - min(a.sequence) + 1 - count(*) AS missing,
            min(a.record_time) AS first_time
        FROM added AS a
        GROUP BY a.ledger_id
    ) AS s
    WHERE s.missing <> 0
        OR (s.first_sequence > 1 AND NOT EXISTS (
            SELECT FROM transactions AS t
            WHERE t.ledger_id = s.ledger_id
                AND t.sequence = s.first_sequence - 1
                AND t.record_time <= s.first_time
        ))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'transaction % of ledger % does not follow the one before it',
            wrong.first_sequence, wrong.ledger_id
        USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

-- Every statement that adds entries adds whole transactions (numbered from 0 without gaps, so that the
-- primary key keeps anyone from adding to one later), which balance per currency and effect, on
-- accounts that exist and are open. An entry has no currency but its account's.
CREATE FUNCTION check_added_entries() RETURNS trigger LANGUAGE plpgsql
AS $$
DECLARE
    wrong record;
BEGIN
    SELECT s.ledger_id, s.sequence INTO wrong
    FROM (
        SELECT
            a.ledger_id,
            a.sequence,
            count(*) AS entry_count,
            max(a.entry_index) + 1 AS numbered
        FROM added AS a
        GROUP BY a.ledger_id, a.sequence
    ) AS s
    WHERE s.entry_count <> s.numbered
        OR NOT EXISTS (
            SELECT FROM transactions AS t
            WHERE t.ledger_id = s.ledger_id
                AND t.sequence = s.sequence
                AND t.entry_count = s.entry_count
        )
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entries of transaction % of ledger % are not the whole transaction',
            wrong.sequence, wrong.ledger_id
        USING ERRCODE = 'check_violation';
    END IF;

    SELECT a.ledger_id, a.sequence, c.currency_code INTO wrong
    FROM added AS a
    LEFT JOIN accounts AS c
        ON a.ledger_id = c.ledger_id AND a.account_number = c.account_number
    GROUP BY a.ledger_id, a.sequence, c.currency_code, a.effect
    HAVING c.currency_code IS NULL
        OR sum(CASE a.direction WHEN 1 THEN a.amount ELSE -a.amount END) <> 0
    ORDER BY c.currency_code NULLS FIRST
    LIMIT 1;
    IF FOUND AND wrong.currency_code IS NULL THEN
        RAISE EXCEPTION 'transaction % of ledger % has an entry on an unknown account',
            wrong.sequence, wrong.ledger_id
        USING ERRCODE = 'foreign_key_violation';
    ELSIF FOUND THEN
        RAISE EXCEPTION 'transaction % of ledger % does not balance in %',
            wrong.sequence, wrong.ledger_id, wrong.currency_code
        USING ERRCODE = 'check_violation';
    END IF;

    SELECT a.ledger_id, a.sequence, a.account_number INTO wrong
    FROM added AS a
    INNER JOIN account_closures AS c
        ON a.ledger_id = c.ledger_id AND a.account_number = c.account_number
    WHERE a.sequence > c.last_sequence
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'transaction % of ledger % has an entry on the closed account %',
            wrong.sequence, wrong.ledger_id, wrong.account_number
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
