-- A point of the log: a sequence, or the ledger's last, and when it was recorded.
SELECT
    h.last_sequence,
    t.sequence,
    t.record_time
FROM ledger_heads AS h
LEFT JOIN transactions AS t
    ON h.ledger_id = t.ledger_id AND coalesce(%(sequence)s, h.last_sequence) = t.sequence
WHERE h.ledger_id = %(ledger_id)s
