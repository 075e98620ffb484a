-- Ledgers that have grown since their last snapshot.
SELECT
    h.ledger_id,
    s.last_sequence AS snapshot,
    h.last_sequence
FROM ledger_heads AS h
INNER JOIN snapshot_heads AS s ON h.ledger_id = s.ledger_id
WHERE h.ledger_id > %(after)s AND h.last_sequence > s.last_sequence AND NOT h.fenced
ORDER BY h.ledger_id
LIMIT %(limit)s
