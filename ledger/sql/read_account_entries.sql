-- A page of one account's entries within a span of the log, with what their transactions say of them.
SELECT
    e.sequence,
    e.entry_index,
    e.direction,
    e.effect,
    e.amount,
    e.source_entry_index,
    e.posted_debits,
    e.posted_credits,
    e.pending_debits,
    e.pending_credits,
    e.version,
    t.record_time,
    t.effective_time,
    -- Only what asks for new entries (direct, pending) can describe them.
    CASE WHEN t.kind IN (1, 2) THEN octet_length(t.body) ELSE 0 END AS described_bytes
FROM entries AS e
INNER JOIN transactions AS t ON e.ledger_id = t.ledger_id AND e.sequence = t.sequence
WHERE
    e.ledger_id = %(ledger_id)s
    -- Looked up before the rest, so that the account's entries are walked in the order of their index.
    AND e.account_number = (
        SELECT a.account_number
        FROM accounts AS a
        WHERE a.ledger_id = %(ledger_id)s AND a.name = %(account)s
    )
    AND (e.sequence, e.entry_index) > (%(after_sequence)s, %(after_index)s)
    AND e.sequence <= %(through_sequence)s
ORDER BY e.sequence, e.entry_index
LIMIT %(limit)s
