-- Pending transactions whose time has come and of which something is still held, the earliest first: as
-- many as a bounded number of their entries belongs to.
SELECT d.sequence
FROM (
    SELECT
        h.sequence,
        h.expire_time
    FROM holds AS h
    WHERE
        h.ledger_id = %(ledger_id)s
        AND h.remaining > 0
        AND h.expire_time <= %(now)s
    ORDER BY h.expire_time ASC, h.sequence ASC
    LIMIT %(entry_limit)s
) AS d
GROUP BY d.expire_time, d.sequence
ORDER BY d.expire_time ASC, d.sequence ASC
LIMIT %(limit)s
