-- Reads as of any point of the log: each is a bounded number of index lookups (docs/adr/0013-as-of-reads.md).

-- Dated entries are those that count at another time than their record time; only what they post matters.
CREATE INDEX entries_dated ON entries (ledger_id, account_number, sequence, entry_index)
WHERE effective_time IS NOT NULL AND effect = 1;
-- Direct transactions are too many to be worth an index of their own: a list of them walks the log.
CREATE INDEX transactions_kind ON transactions (ledger_id, kind, sequence)
WHERE kind <> 1;
CREATE INDEX holds_expire_time ON holds (ledger_id, account_number, expire_time)
WHERE expire_time IS NOT NULL;

-- Dated entries of an account, in the order of the log, are cut into runs of 32. A mark is the end of such a
-- run, with the totals of all dated entries up to it. Marks are written behind the log and never changed.
CREATE TABLE dated_marks (
    ledger_id bigint NOT NULL,
    account_number integer NOT NULL,
    -- The last entry of the run.
    sequence bigint NOT NULL,
    entry_index smallint NOT NULL,
    -- The number of the run, from 0.
    position bigint NOT NULL CHECK (position >= 0),
    debits bigint NOT NULL CHECK (debits >= 0),
    credits bigint NOT NULL CHECK (credits >= 0),
    PRIMARY KEY (ledger_id, account_number, sequence, entry_index),
    UNIQUE (ledger_id, account_number, position),
    FOREIGN KEY (ledger_id, account_number) REFERENCES accounts (ledger_id, account_number)
);

-- The same runs in order of effective time: what of a run counts at a moment is in the last row at or before
-- it. A run of level 1 has 32 entries, one of level 2 those of 32 runs of level 1, one of level 3 those of
-- 32 of level 2. Written with the mark that completes them, and never changed.
CREATE TABLE dated_runs (
    ledger_id bigint NOT NULL,
    account_number integer NOT NULL,
    level smallint NOT NULL CHECK (level BETWEEN 1 AND 3),
    position bigint NOT NULL CHECK (position >= 0),
    effective_time timestamptz NOT NULL,
    debits bigint NOT NULL CHECK (debits >= 0),
    credits bigint NOT NULL CHECK (credits >= 0),
    PRIMARY KEY (ledger_id, account_number, level, position, effective_time),
    FOREIGN KEY (ledger_id, account_number) REFERENCES accounts (ledger_id, account_number)
);

-- What a run has to be: of level 1 from the entries up to its mark, above it from the 32 runs below it.
CREATE FUNCTION dated_run(ledger bigint, account integer, run_level integer, run_position bigint)
RETURNS TABLE (effective_time timestamptz, debits bigint, credits bigint)
LANGUAGE sql STABLE
AS $$
    WITH parts AS (
        SELECT
            e.effective_time,
            CASE e.direction WHEN 1 THEN e.amount ELSE 0 END AS debits,
            CASE e.direction WHEN 2 THEN e.amount ELSE 0 END AS credits
        FROM dated_marks AS m
        LEFT JOIN dated_marks AS b
            ON b.ledger_id = ledger AND b.account_number = account AND b.position = run_position - 1
        INNER JOIN entries AS e
            ON (e.sequence, e.entry_index) <= (m.sequence, m.entry_index)
            AND (e.sequence, e.entry_index)
            > (coalesce(b.sequence, 0), coalesce(b.entry_index, 0::smallint))
        WHERE run_level = 1
            AND m.ledger_id = ledger
            AND m.account_number = account
            AND m.position = run_position
            AND e.ledger_id = ledger
            AND e.account_number = account
            AND e.effective_time IS NOT NULL
            AND e.effect = 1
        UNION ALL
        SELECT
            d.effective_time,
            d.debits - lag(d.debits, 1, 0::bigint) OVER steps,
            d.credits - lag(d.credits, 1, 0::bigint) OVER steps
        FROM dated_runs AS d
        WHERE run_level > 1
            AND d.ledger_id = ledger
            AND d.account_number = account
            AND d.level = run_level - 1
            AND d.position BETWEEN run_position * 32 AND run_position * 32 + 31
        WINDOW steps AS (PARTITION BY d.position ORDER BY d.effective_time)
    )
    SELECT
        p.effective_time,
        (sum(sum(p.debits)) OVER (ORDER BY p.effective_time))::bigint,
        (sum(sum(p.credits)) OVER (ORDER BY p.effective_time))::bigint
    FROM parts AS p
    GROUP BY p.effective_time
$$;

-- What settles or reverses an entry, of however many of its transaction; only such entries pay for it.
CREATE INDEX entries_source ON entries (ledger_id, sequence, source_entry_index)
WHERE source_entry_index IS NOT NULL;

-- What of an entry held is not released as of a sequence.
CREATE FUNCTION held_at(ledger bigint, pending bigint, entry smallint, through_sequence bigint)
RETURNS bigint
LANGUAGE sql STABLE
AS $$
    SELECT e.amount - coalesce((
        SELECT sum(r.amount)
        FROM transactions AS s
        INNER JOIN entries AS r ON s.ledger_id = r.ledger_id AND s.sequence = r.sequence
        WHERE s.ledger_id = ledger
            AND s.settles_sequence = pending
            AND s.sequence <= through_sequence
            AND r.effect = 3
            AND r.source_entry_index = entry
    ), 0)::bigint
    FROM entries AS e
    WHERE e.ledger_id = ledger AND e.sequence = pending AND e.entry_index = entry
$$;

-- What dated entries change in an account's posted totals of `through_sequence` when the point is not that
-- of the log but a moment of effective time. Counted are the entries up to `known_sequence`: those effective
-- by the moment are added, those recorded by `through_sequence` are taken away, being in its totals.
--
-- Each sum is that of finished runs and of the entries behind the last mark: fewer than 32, and those
-- that no mark has been written for yet. Nothing is read when `effective` is NULL.
CREATE FUNCTION dated_change(
    ledger bigint,
    account integer,
    through_sequence bigint,
    known_sequence bigint,
    effective timestamptz
)
RETURNS TABLE (debits bigint, credits bigint)
LANGUAGE sql STABLE
AS $$
    WITH known_mark AS (
        SELECT m.sequence, m.entry_index, m.position + 1 AS runs
        FROM dated_marks AS m
        WHERE effective IS NOT NULL
            AND m.ledger_id = ledger
            AND m.account_number = account
            AND m.sequence <= known_sequence
        ORDER BY m.sequence DESC, m.entry_index DESC
        LIMIT 1
    ),
    recorded_mark AS (
        SELECT m.sequence, m.entry_index, m.debits, m.credits
        FROM dated_marks AS m
        WHERE effective IS NOT NULL
            AND m.ledger_id = ledger
            AND m.account_number = account
            AND m.sequence <= through_sequence
        ORDER BY m.sequence DESC, m.entry_index DESC
        LIMIT 1
    ),
    parts AS (
        SELECT r.debits, r.credits
        FROM known_mark AS m
        CROSS JOIN generate_series(1, 3) AS l (level)
        CROSS JOIN LATERAL generate_series(
            CASE l.level WHEN 3 THEN 0 ELSE (m.runs >> (5 * l.level)) << 5 END,
            (m.runs >> (5 * (l.level - 1))) - 1
        ) AS p (position)
        CROSS JOIN LATERAL (
            SELECT d.debits, d.credits
            FROM dated_runs AS d
            WHERE d.ledger_id = ledger
                AND d.account_number = account
                AND d.level = l.level
                AND d.position = p.position
                AND d.effective_time <= effective
            ORDER BY d.effective_time DESC
            LIMIT 1
        ) AS r
        UNION ALL
        SELECT
            CASE e.direction WHEN 1 THEN e.amount ELSE 0 END,
            CASE e.direction WHEN 2 THEN e.amount ELSE 0 END
        FROM entries AS e
        WHERE effective IS NOT NULL
            AND e.ledger_id = ledger
            AND e.account_number = account
            AND e.effective_time IS NOT NULL
            AND e.effect = 1
            AND (e.sequence, e.entry_index) > (
                coalesce((SELECT m.sequence FROM known_mark AS m), 0),
                coalesce((SELECT m.entry_index FROM known_mark AS m), 0::smallint)
            )
            AND e.sequence <= known_sequence
            AND e.effective_time <= effective
        UNION ALL
        SELECT -m.debits, -m.credits
        FROM recorded_mark AS m
        UNION ALL
        SELECT
            CASE e.direction WHEN 1 THEN -e.amount ELSE 0 END,
            CASE e.direction WHEN 2 THEN -e.amount ELSE 0 END
        FROM entries AS e
        WHERE effective IS NOT NULL
            AND e.ledger_id = ledger
            AND e.account_number = account
            AND e.effective_time IS NOT NULL
            AND e.effect = 1
            AND (e.sequence, e.entry_index) > (
                coalesce((SELECT m.sequence FROM recorded_mark AS m), 0),
                coalesce((SELECT m.entry_index FROM recorded_mark AS m), 0::smallint)
            )
            AND e.sequence <= through_sequence
    )
    SELECT sum(p.debits)::bigint, sum(p.credits)::bigint
    FROM parts AS p
$$;

-- Accounts named from `low` to `high` (all of them at or below `path`, unless it is empty) with their totals
-- as of a point of the log: a few index lookups each.
--
-- `moment` (NULL: the record time of through_sequence) adds exact expiry: every commit first expires what
-- is due, so holds that have lapsed without a record of it expire between the last record and the moment.
--
-- `effective` (NULL: not asked for) corrects the posted totals by the dated entries up to known_sequence.
CREATE FUNCTION balances_at(
    ledger bigint,
    path text,
    low text,
    high text,
    through_sequence bigint,
    moment timestamptz,
    effective timestamptz,
    known_sequence bigint
)
RETURNS TABLE (
    name text,
    currency_code text,
    normal_balance smallint,
    posted_debits bigint,
    posted_credits bigint,
    pending_debits bigint,
    pending_credits bigint,
    version bigint
)
LANGUAGE sql STABLE
AS $$
    SELECT
        a.name,
        a.currency_code,
        a.normal_balance,
        coalesce(e.posted_debits, 0) + coalesce(d.debits, 0),
        coalesce(e.posted_credits, 0) + coalesce(d.credits, 0),
        coalesce(e.pending_debits, 0) - coalesce(h.debits, 0),
        coalesce(e.pending_credits, 0) - coalesce(h.credits, 0),
        coalesce(e.version, 0)
    FROM accounts AS a
    LEFT JOIN LATERAL (
        SELECT n.posted_debits, n.posted_credits, n.pending_debits, n.pending_credits, n.version
        FROM entries AS n
        WHERE n.ledger_id = ledger
            AND n.account_number = a.account_number
            AND n.sequence <= through_sequence
        ORDER BY n.sequence DESC, n.entry_index DESC
        LIMIT 1
    ) AS e ON TRUE
    LEFT JOIN LATERAL (
        SELECT
            (sum(l.amount) FILTER (WHERE l.direction = 1))::bigint AS debits,
            (sum(l.amount) FILTER (WHERE l.direction = 2))::bigint AS credits
        FROM (
            SELECT k.direction, held_at(ledger, k.sequence, k.entry_index, through_sequence) AS amount
            FROM holds AS k
            WHERE k.ledger_id = ledger
                AND k.account_number = a.account_number
                AND k.sequence <= through_sequence
                AND k.expire_time <= moment
                AND k.expire_time > (
                    SELECT t.record_time
                    FROM transactions AS t
                    WHERE t.ledger_id = ledger AND t.sequence = through_sequence
                )
        ) AS l
        WHERE e.pending_debits > 0 OR e.pending_credits > 0
    ) AS h ON TRUE
    LEFT JOIN LATERAL (
        SELECT c.debits, c.credits
        FROM dated_change(ledger, a.account_number, through_sequence, known_sequence, effective) AS c
    ) AS d ON TRUE
    WHERE a.ledger_id = ledger
        AND a.name >= low
        AND a.name <= high
        AND (path = '' OR a.name = path OR a.name >= path || '/')
$$;
