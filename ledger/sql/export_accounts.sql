-- Accounts by their numbers, after one of them.
SELECT
    a.account_number,
    a.name,
    a.currency_code,
    a.normal_balance,
    a.min_posted,
    a.max_posted,
    a.min_available,
    a.max_available,
    a.metadata,
    a.create_time,
    NULL::timestamptz AS close_time
FROM accounts AS a
WHERE
    a.ledger_id = %(ledger_id)s
    AND a.account_number > %(after)s
    AND a.account_number <= %(through)s
ORDER BY a.account_number
LIMIT %(limit)s
