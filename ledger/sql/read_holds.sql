-- Holds open as of a point of the log, of the accounts named from low to high, the oldest first.
SELECT
    h.sequence,
    h.entry_index,
    a.name,
    h.direction,
    h.remaining,
    h.expire_time
FROM accounts AS a
CROSS JOIN LATERAL (
    SELECT e.pending_debits > 0 OR e.pending_credits > 0 AS held
    FROM entries AS e
    WHERE
        e.ledger_id = a.ledger_id
        AND e.account_number = a.account_number
        AND e.sequence <= %(sequence)s
    ORDER BY e.sequence DESC, e.entry_index DESC
    LIMIT 1
) AS e
CROSS JOIN LATERAL holds_at(
    a.ledger_id, a.account_number, %(sequence)s, %(moment)s, %(limit)s, %(after_sequence)s,
    %(after_index)s
) AS h
WHERE
    a.ledger_id = %(ledger_id)s
    AND a.name >= %(low)s
    AND a.name <= %(high)s
    AND (%(path)s = '' OR a.name = %(path)s OR a.name >= %(path)s || '/')
    AND e.held
ORDER BY h.sequence, h.entry_index
LIMIT %(limit)s
