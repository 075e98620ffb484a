-- Snapshots follow the log from behind, so that reads of the past are bounded; no read needs them to be right.

-- Holds of which nothing is left, with the span of the log in which something was: from `sequence` up to
-- but not including `closed_sequence`. `node` is where the binary numbers of its two ends fork, as in the relational
-- interval tree of Kriegel, Pötke and Seidl (VLDB 2000): the spans that a sequence is in have their nodes
-- among as few numbers as the sequence has bits.
CREATE TABLE hold_spans (
    ledger_id bigint NOT NULL,
    account_number integer NOT NULL,
    node bigint NOT NULL,
    closed_sequence bigint NOT NULL,
    sequence bigint NOT NULL,
    entry_index smallint NOT NULL,
    PRIMARY KEY (ledger_id, account_number, node, closed_sequence, sequence, entry_index),
    FOREIGN KEY (ledger_id, sequence, entry_index) REFERENCES holds (ledger_id, sequence, entry_index),
    CHECK (sequence <= node AND node < closed_sequence)
);
CREATE INDEX hold_spans_sequence ON hold_spans (ledger_id, account_number, node, sequence);

-- How far dated_marks, dated_runs and hold_spans have followed the log.
CREATE TABLE snapshot_heads (
    ledger_id bigint NOT NULL,
    last_sequence bigint NOT NULL CHECK (last_sequence >= 0),
    PRIMARY KEY (ledger_id),
    FOREIGN KEY (ledger_id) REFERENCES ledgers (ledger_id)
);

-- What an account's entries held reserve as of a point of the log, as in balances_at. Open as of a
-- sequence are: of those still open, the ones made by then; of those closed since, the ones whose span has
-- the sequence in it (a lookup for each bit of a sequence, which OFFSET 0 keeps the planner from turning into
-- one walk over all spans of the account); and of those that were closed behind the last snapshot,
-- whatever the account's entries since then released. What was left of each is what is left now and what
-- has been released since.
CREATE FUNCTION holds_at(
    ledger bigint, account integer, through_sequence bigint, moment timestamptz, most bigint
)
RETURNS TABLE (
    sequence bigint, entry_index smallint, direction smallint, remaining bigint, expire_time timestamptz
)
LANGUAGE sql STABLE
AS $$
    WITH nodes AS (
        SELECT ((through_sequence >> b.bit) | 1) << b.bit AS node
        FROM snapshot_heads AS s
        CROSS JOIN generate_series(0, 61) AS b (bit)
        WHERE s.ledger_id = ledger AND 1::bigint << b.bit <= s.last_sequence
    ),
    closed AS (
        SELECT s.sequence, s.entry_index
        FROM nodes AS n
        CROSS JOIN LATERAL (
            SELECT k.sequence, k.entry_index
            FROM hold_spans AS k
            WHERE k.ledger_id = ledger
                AND k.account_number = account
                AND k.node = n.node
                AND k.closed_sequence > through_sequence
            OFFSET 0
        ) AS s
        WHERE n.node <= through_sequence
        UNION
        SELECT s.sequence, s.entry_index
        FROM nodes AS n
        CROSS JOIN LATERAL (
            SELECT k.sequence, k.entry_index
            FROM hold_spans AS k
            WHERE k.ledger_id = ledger
                AND k.account_number = account
                AND k.node = n.node
                AND k.sequence <= through_sequence
            OFFSET 0
        ) AS s
        WHERE n.node > through_sequence
        UNION
        SELECT t.settles_sequence, e.source_entry_index
        FROM entries AS e
        INNER JOIN transactions AS t ON e.ledger_id = t.ledger_id AND e.sequence = t.sequence
        WHERE e.ledger_id = ledger
            AND e.account_number = account
            AND e.effect = 3
            AND e.sequence > greatest(
                through_sequence,
                (SELECT s.last_sequence FROM snapshot_heads AS s WHERE s.ledger_id = ledger)
            )
            AND t.settles_sequence <= through_sequence
    ),
    made AS (
        (
            SELECT h.sequence, h.entry_index, h.direction, h.remaining, h.expire_time
            FROM holds AS h
            WHERE h.ledger_id = ledger
                AND h.account_number = account
                AND h.remaining > 0
                AND h.sequence <= through_sequence
                AND (moment IS NULL OR h.expire_time IS NULL OR h.expire_time > moment)
            ORDER BY h.sequence, h.entry_index
            LIMIT most
        )
        UNION ALL
        SELECT h.sequence, h.entry_index, h.direction, h.remaining, h.expire_time
        FROM closed AS c
        INNER JOIN holds AS h
            ON h.ledger_id = ledger AND c.sequence = h.sequence AND c.entry_index = h.entry_index
        WHERE h.remaining = 0
            AND (moment IS NULL OR h.expire_time IS NULL OR h.expire_time > moment)
    )
    SELECT *
    FROM (
        SELECT
            m.sequence,
            m.entry_index,
            m.direction,
            m.remaining + coalesce(r.released, 0) AS remaining,
            m.expire_time
        FROM made AS m
        CROSS JOIN LATERAL (
            SELECT sum(e.amount)::bigint AS released
            FROM transactions AS t
            INNER JOIN entries AS e ON t.ledger_id = e.ledger_id AND t.sequence = e.sequence
            WHERE t.ledger_id = ledger
                AND t.settles_sequence = m.sequence
                AND t.sequence > through_sequence
                AND e.effect = 3
                AND e.source_entry_index = m.entry_index
        ) AS r
    ) AS o
    WHERE o.remaining > 0
    ORDER BY o.sequence, o.entry_index
    LIMIT most
$$;

-- The node of the span from `first` to `last`.
CREATE FUNCTION span_node(first bigint, last bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT
AS $$
    SELECT CASE first # last WHEN 0 THEN first ELSE (last >> b.bit) << b.bit END
    FROM (SELECT 64 - position('1' IN (first # last)::bit(64)::text) AS bit) AS b
$$;

-- The entries held of which the transactions after `first`, up to `last`, released the rest.
CREATE FUNCTION closed_holds(ledger bigint, first bigint, last bigint)
RETURNS TABLE (account_number integer, sequence bigint, entry_index smallint, closed_sequence bigint)
LANGUAGE sql STABLE
AS $$
    SELECT e.account_number, t.settles_sequence, e.source_entry_index, t.sequence
    FROM transactions AS t
    INNER JOIN entries AS e ON t.ledger_id = e.ledger_id AND t.sequence = e.sequence
    WHERE t.ledger_id = ledger
        AND t.sequence > first
        AND t.sequence <= last
        AND t.settles_sequence IS NOT NULL
        AND e.effect = 3
        AND held_at(ledger, t.settles_sequence, e.source_entry_index, t.sequence) = 0
$$;

-- Follows the log by at most so many transactions, and so many entries unless the first has more; answers how
-- far it has come, NULL if another session is at it, the ledger has no row yet or the log has not grown.
-- Nothing is rewritten but the ledger's row in snapshot_heads.
CREATE FUNCTION extend_snapshots(ledger bigint, most_transactions bigint, most_entries bigint)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    first bigint;
    last bigint;
BEGIN
    SELECT s.last_sequence INTO first
    FROM snapshot_heads AS s
    WHERE s.ledger_id = ledger
    FOR UPDATE SKIP LOCKED;
    SELECT max(c.sequence) INTO last
    FROM (
        SELECT
            t.sequence,
            t.sequence = first + 1 OR sum(t.entry_count) OVER (ORDER BY t.sequence) <= most_entries AS fits
        FROM transactions AS t
        WHERE t.ledger_id = ledger AND t.sequence > first AND t.sequence <= first + most_transactions
    ) AS c
    WHERE c.fits;
    IF last IS NOT NULL THEN
        PERFORM add_dated_marks(ledger, first, last);
        PERFORM add_hold_spans(ledger, first, last);
        UPDATE snapshot_heads AS s SET last_sequence = last WHERE s.ledger_id = ledger;
    END IF;
    RETURN last;
END
$$;

-- Cuts off the runs that the dated entries after `first`, up to `last`, complete.
CREATE FUNCTION add_dated_marks(ledger bigint, first bigint, last bigint) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    touched integer[];
BEGIN
    SELECT array_agg(DISTINCT e.account_number) INTO touched
    FROM transactions AS t
    INNER JOIN entries AS e ON t.ledger_id = e.ledger_id AND t.sequence = e.sequence
    WHERE t.ledger_id = ledger
        AND t.sequence > first
        AND t.sequence <= last
        AND t.effective_time IS NOT NULL
        AND e.effective_time IS NOT NULL
        AND e.effect = 1;

    INSERT INTO dated_marks (ledger_id, account_number, sequence, entry_index, position, debits, credits)
    SELECT
        ledger, n.account_number, n.sequence, n.entry_index, n.ordinal / 32, n.all_debits, n.all_credits
    FROM (
        SELECT
            a.number AS account_number,
            e.sequence,
            e.entry_index,
            coalesce(m.debits, 0) + sum(CASE e.direction WHEN 1 THEN e.amount ELSE 0 END) OVER log
                AS all_debits,
            coalesce(m.credits, 0) + sum(CASE e.direction WHEN 2 THEN e.amount ELSE 0 END) OVER log
                AS all_credits,
            coalesce(m.position + 1, 0) * 32 + row_number() OVER log - 1 AS ordinal
        FROM unnest(touched) AS a (number)
        LEFT JOIN LATERAL (
            SELECT k.sequence, k.entry_index, k.position, k.debits, k.credits
            FROM dated_marks AS k
            WHERE k.ledger_id = ledger AND k.account_number = a.number
            ORDER BY k.sequence DESC, k.entry_index DESC
            LIMIT 1
        ) AS m ON TRUE
        INNER JOIN entries AS e
            ON e.account_number = a.number
            AND (e.sequence, e.entry_index)
            > (coalesce(m.sequence, 0), coalesce(m.entry_index, 0::smallint))
        WHERE e.ledger_id = ledger
            AND e.effective_time IS NOT NULL
            AND e.effect = 1
            AND e.sequence <= last
        WINDOW log AS (PARTITION BY a.number ORDER BY e.sequence, e.entry_index)
    ) AS n
    WHERE n.ordinal % 32 = 31;

    FOR level IN 1 .. 3 LOOP
        INSERT INTO dated_runs (ledger_id, account_number, level, position, effective_time, debits, credits)
        SELECT ledger, m.account_number, level, p.position, r.effective_time, r.debits, r.credits
        FROM (
            SELECT
                k.account_number,
                min(k.position) >> (5 * (level - 1)) AS old_runs,
                (max(k.position) + 1) >> (5 * (level - 1)) AS new_runs
            FROM unnest(touched) AS a (number)
            INNER JOIN dated_marks AS k ON a.number = k.account_number
            WHERE k.ledger_id = ledger AND k.sequence > first
            GROUP BY k.account_number
        ) AS m
        CROSS JOIN LATERAL generate_series(m.old_runs, m.new_runs - 1) AS p (position)
        CROSS JOIN LATERAL dated_run(ledger, m.account_number, level, p.position) AS r;
    END LOOP;
END
$$;

-- Records the spans of the holds that the transactions after `first`, up to `last`, closed.
CREATE FUNCTION add_hold_spans(ledger bigint, first bigint, last bigint) RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO hold_spans (
        ledger_id, account_number, node, closed_sequence, sequence, entry_index
    )
    SELECT
        ledger, c.account_number, span_node(c.sequence, c.closed_sequence - 1), c.closed_sequence,
        c.sequence, c.entry_index
    FROM closed_holds(ledger, first, last) AS c
$$;

GRANT SELECT, INSERT ON dated_marks, dated_runs, hold_spans TO ledger_service;
GRANT SELECT, INSERT, UPDATE ON snapshot_heads TO ledger_service;

DO $$
DECLARE
    kept text;
BEGIN
    FOREACH kept IN ARRAY ARRAY['dated_marks', 'dated_runs', 'hold_spans'] LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', kept
        );
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', kept);
    END LOOP;
    CREATE TRIGGER never_removed BEFORE DELETE OR TRUNCATE ON snapshot_heads
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
    ALTER TABLE snapshot_heads ENABLE ALWAYS TRIGGER never_removed;
END
$$;
