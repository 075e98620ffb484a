-- Transactions without their entries, by sequence: the first columns of read_transactions.
SELECT
    t.sequence,
    t.kind,
    t.request_id,
    t.body,
    t.reference,
    t.record_time,
    t.effective_time,
    t.expire_time,
    t.settles_sequence,
    t.reverses_sequence
FROM transactions AS t
WHERE t.ledger_id = %(ledger_id)s AND t.sequence = ANY(%(sequences)b)
ORDER BY t.sequence
