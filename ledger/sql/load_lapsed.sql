-- What accounts still hold of holds whose time has come, of which the first is known: a span of their index.
SELECT
    h.account_number,
    coalesce(sum(h.remaining) FILTER (WHERE h.direction = 1), 0)::bigint AS debits,
    coalesce(sum(h.remaining) FILTER (WHERE h.direction = 2), 0)::bigint AS credits
FROM holds AS h
WHERE
    h.ledger_id = %(ledger_id)s
    AND h.account_number = ANY(%(account_numbers)b)
    AND h.expire_time >= %(first)s
    AND h.expire_time <= %(now)s
    AND h.remaining > 0
GROUP BY h.account_number
