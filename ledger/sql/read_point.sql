-- The last sequence that a read counts: one given, the last at or before a moment, or the ledger's last.
SELECT
    h.last_sequence,
    CASE
        WHEN %(moment)s::timestamptz IS NULL THEN h.last_sequence
        ELSE sequence_at(h.ledger_id, %(moment)s)
    END AS sequence
FROM ledger_heads AS h
WHERE h.ledger_id = %(ledger_id)s
