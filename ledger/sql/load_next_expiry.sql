-- When the next of a ledger's holds expires; a statement of its own, so that it is never older than a
-- head that had to wait for its lock.
SELECT min(h.expire_time)
FROM holds AS h
WHERE h.ledger_id = %(ledger_id)s AND h.remaining > 0 AND h.expire_time IS NOT NULL
