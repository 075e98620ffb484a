-- Open holds of one account, the oldest first.
SELECT
    h.sequence,
    h.entry_index,
    h.direction,
    h.remaining,
    h.expire_time
FROM accounts AS a
INNER JOIN holds AS h ON a.ledger_id = h.ledger_id AND a.account_number = h.account_number
WHERE
    a.ledger_id = %(ledger_id)s
    AND a.name = %(account)s
    AND h.remaining > 0
    AND (h.expire_time IS NULL OR h.expire_time > %(now)s)
ORDER BY h.sequence, h.entry_index
LIMIT %(limit)s
