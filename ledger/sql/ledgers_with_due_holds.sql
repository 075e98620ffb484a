-- Ledgers in which a hold's time has come, for the sweeper.
SELECT
    l.ledger_id,
    l.name
FROM ledgers AS l
INNER JOIN ledger_heads AS n ON l.ledger_id = n.ledger_id
WHERE NOT n.fenced AND EXISTS (
    SELECT FROM holds AS h
    WHERE h.ledger_id = l.ledger_id AND h.remaining > 0 AND h.expire_time <= %(now)s
)
ORDER BY l.ledger_id
LIMIT %(limit)s
