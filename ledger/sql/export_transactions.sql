-- Transactions with their entries, of a span of the log; each table is walked along its key for itself.
SELECT
    t.sequence,
    t.kind,
    t.request_id,
    -- Once: a request of ten thousand entries is large, and would come with each of them.
    CASE WHEN e.entry_index = 0 THEN t.body END AS body,
    t.reference,
    t.record_time,
    t.effective_time,
    t.expire_time,
    t.settles_sequence,
    t.reverses_sequence,
    a.name,
    a.currency_code,
    a.normal_balance,
    e.direction,
    e.effect,
    e.amount,
    e.source_entry_index,
    e.posted_debits,
    e.posted_credits,
    e.pending_debits,
    e.pending_credits,
    e.version
FROM transactions AS t
INNER JOIN entries AS e ON t.ledger_id = e.ledger_id AND t.sequence = e.sequence
INNER JOIN accounts AS a ON e.ledger_id = a.ledger_id AND e.account_number = a.account_number
WHERE
    t.ledger_id = %(ledger_id)s
    AND t.sequence > %(after)s
    AND t.sequence <= %(last)s
    AND e.ledger_id = %(ledger_id)s
    AND e.sequence > %(after)s
    AND e.sequence <= %(last)s
ORDER BY t.sequence, e.entry_index
