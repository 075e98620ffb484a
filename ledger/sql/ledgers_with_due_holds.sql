-- Ledgers in which a hold's time has come, for the sweeper.
SELECT
    l.ledger_id,
    l.name
FROM ledgers AS l
WHERE EXISTS (
    SELECT FROM holds AS h
    WHERE h.ledger_id = l.ledger_id AND h.remaining > 0 AND h.expire_time <= %(now)s
)
ORDER BY l.ledger_id
LIMIT %(limit)s
