-- Pending transactions whose time has come and of which something is still held, the earliest first.
SELECT h.sequence
FROM holds AS h
WHERE
    h.ledger_id = %(ledger_id)s
    AND h.remaining > 0
    AND h.expire_time <= %(now)s
GROUP BY h.sequence
ORDER BY min(h.expire_time), h.sequence
LIMIT %(limit)s
