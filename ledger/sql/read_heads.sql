-- Where some ledgers end, for those who watch them.
SELECT
    h.ledger_id,
    h.last_sequence
FROM ledger_heads AS h
WHERE h.ledger_id = ANY(%(ledger_ids)b)
