-- New ledgers get a row of their own, from which their snapshots start.
INSERT INTO snapshot_heads (ledger_id, last_sequence)
SELECT
    h.ledger_id,
    0
FROM ledger_heads AS h
WHERE NOT EXISTS (
    SELECT FROM snapshot_heads AS s
    WHERE s.ledger_id = h.ledger_id
)
ON CONFLICT DO NOTHING
RETURNING ledger_id
