-- What is answered of a moment never changes, however many holds fall due and whatever is being committed.
-- Can be run again: the index made beside it is not of one transaction with it.

-- Reads have closed the log up to this moment: every later record_time is above it. It is no part of the log
-- and moves without revision, so a commit that was decided before goes through if its own time is later.
ALTER TABLE ledger_heads ADD COLUMN IF NOT EXISTS closed_time timestamptz;

-- The last sequence recorded at or before a moment, for good: the moment is closed first, unless it is
-- already. The head's row makes it wait for a commit that is being written; one that was only decided has to
-- be decided again, at a later time. Losing the mark in a crash does no harm, as no record after the crash has
-- a time before it; so nobody waits until it is on disk, or on a standby.
CREATE OR REPLACE FUNCTION close_moment(ledger bigint, moment timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM FROM ledger_heads AS h
    WHERE h.ledger_id = ledger AND (h.last_record_time > moment OR h.closed_time >= moment);
    IF NOT FOUND THEN
        PERFORM set_config('synchronous_commit', 'off', TRUE);
        UPDATE ledger_heads AS h SET closed_time = moment
        WHERE h.ledger_id = ledger AND (h.closed_time IS NULL OR h.closed_time < moment);
    END IF;
    RETURN sequence_at(ledger, moment);
END
$$;

-- Not before this moment fell due what was still held at a sequence, or falls due after it. Holds are expired
-- in the order of their times, so the first expiry behind the sequence is of the earliest that was due at it.
CREATE OR REPLACE FUNCTION due_from(ledger bigint, through_sequence bigint) RETURNS timestamptz
LANGUAGE sql STABLE
AS $$
    SELECT least(
        (
            SELECT t.record_time
            FROM transactions AS t
            WHERE t.ledger_id = ledger AND t.sequence = through_sequence
        ),
        coalesce(
            (
                SELECT coalesce(x.effective_time, x.record_time)
                FROM transactions AS x
                WHERE x.ledger_id = ledger AND x.kind = 5 AND x.sequence > through_sequence
                ORDER BY x.sequence
                LIMIT 1
            ),
            (
                SELECT o.expire_time
                FROM holds AS o
                WHERE o.ledger_id = ledger AND o.remaining > 0 AND o.expire_time IS NOT NULL
                ORDER BY o.expire_time
                LIMIT 1
            )
        )
    )
$$;

-- As before (0003), with two differences. Holds that have lapsed without a record of it expire between
-- due_from and the moment, not only since the last record: a commit expires some of what is due, not all. And of
-- the accounts only those made by `born` are there (NULL: all).
CREATE OR REPLACE FUNCTION balances_at(
    ledger bigint,
    path text,
    low text,
    high text,
    through_sequence bigint,
    moment timestamptz,
    effective timestamptz,
    known_sequence bigint,
    born timestamptz
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
            -- What is left now and what was released since.
            SELECT
                k.direction,
                k.remaining + coalesce((
                    SELECT sum(r.amount)
                    FROM transactions AS s
                    INNER JOIN entries AS r ON s.ledger_id = r.ledger_id AND s.sequence = r.sequence
                    WHERE s.ledger_id = ledger
                        AND s.settles_sequence = k.sequence
                        AND s.sequence > through_sequence
                        AND r.effect = 3
                        AND r.source_entry_index = k.entry_index
                ), 0) AS amount
            FROM holds AS k
            WHERE k.ledger_id = ledger
                AND k.account_number = a.account_number
                AND k.sequence <= through_sequence
                AND k.expire_time <= moment
                AND k.expire_time >= (SELECT due_from(ledger, through_sequence))
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
        AND (born IS NULL OR a.create_time <= born)
$$;

-- What code up to 0006 asks for.
CREATE OR REPLACE FUNCTION balances_at(
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
        b.name, b.currency_code, b.normal_balance, b.posted_debits, b.posted_credits, b.pending_debits,
        b.pending_credits, b.version
    FROM balances_at(
        ledger, path, low, high, through_sequence, moment, effective, known_sequence, NULL
    ) AS b
$$;

-- As before (0005), of the holds after a position only.
CREATE OR REPLACE FUNCTION holds_at(
    ledger bigint,
    account integer,
    through_sequence bigint,
    moment timestamptz,
    most bigint,
    after_sequence bigint,
    after_index integer
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
                AND (h.sequence, h.entry_index) > (after_sequence, after_index)
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
            AND (c.sequence, c.entry_index) > (after_sequence, after_index)
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

-- What code up to 0006 asks for.
CREATE OR REPLACE FUNCTION holds_at(
    ledger bigint, account integer, through_sequence bigint, moment timestamptz, most bigint
)
RETURNS TABLE (
    sequence bigint, entry_index smallint, direction smallint, remaining bigint, expire_time timestamptz
)
LANGUAGE sql STABLE
AS $$
    SELECT h.sequence, h.entry_index, h.direction, h.remaining, h.expire_time
    FROM holds_at(ledger, account, through_sequence, moment, most, 0, 0) AS h
$$;
