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

-- Accounts at or below a path (all if it is empty) or of exactly that name, with their totals as of a
-- point of the log: one index lookup each.
--
-- `moment` (NULL: the record time of through_sequence) adds exact expiry: every commit first expires what
-- is due, so holds that have lapsed without a record of it expire between the last record and the moment.
--
-- `effective` (NULL: not asked for) corrects the posted totals by the entries whose effective time is not
-- their record time: those recorded later that count already, and those recorded that do not count yet.
CREATE FUNCTION balances_at(
    ledger bigint,
    path text,
    exact boolean,
    after_name text,
    through_sequence bigint,
    moment timestamptz,
    effective timestamptz
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
    WITH lapsed AS (
        SELECT e.account_number, e.direction,
            sum(held_at(ledger, e.sequence, e.entry_index, through_sequence)) AS amount
        FROM transactions AS t
        INNER JOIN entries AS e ON t.ledger_id = e.ledger_id AND t.sequence = e.sequence
        WHERE t.ledger_id = ledger
            AND t.sequence <= through_sequence
            AND t.expire_time <= moment
            AND t.expire_time > (
                SELECT l.record_time
                FROM transactions AS l
                WHERE l.ledger_id = ledger AND l.sequence = through_sequence
            )
        GROUP BY e.account_number, e.direction
    )
    SELECT
        a.name,
        a.currency_code,
        a.normal_balance,
        (coalesce(e.posted_debits, 0) + coalesce(d.debits, 0))::bigint,
        (coalesce(e.posted_credits, 0) + coalesce(d.credits, 0))::bigint,
        (coalesce(e.pending_debits, 0) - coalesce(ld.amount, 0))::bigint,
        (coalesce(e.pending_credits, 0) - coalesce(lc.amount, 0))::bigint,
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
            sum(CASE WHEN n.sequence > through_sequence THEN n.amount ELSE -n.amount END)
                FILTER (WHERE n.direction = 1) AS debits,
            sum(CASE WHEN n.sequence > through_sequence THEN n.amount ELSE -n.amount END)
                FILTER (WHERE n.direction = 2) AS credits
        FROM entries AS n
        WHERE effective IS NOT NULL
            AND n.ledger_id = ledger
            AND n.account_number = a.account_number
            AND n.effective_time IS NOT NULL
            AND n.effect = 1
            AND (n.effective_time <= effective) = (n.sequence > through_sequence)
    ) AS d ON TRUE
    LEFT JOIN lapsed AS ld ON a.account_number = ld.account_number AND ld.direction = 1
    LEFT JOIN lapsed AS lc ON a.account_number = lc.account_number AND lc.direction = 2
    WHERE a.ledger_id = ledger
        AND a.name > after_name
        AND (
            a.name = path
            OR (NOT exact AND (path = '' OR (a.name >= path || '/' AND a.name < path || '0')))
        )
$$;
