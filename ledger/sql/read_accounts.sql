-- Accounts at or below a path (all if it is empty) or of exactly that name, in order of their names.
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
    c.close_time
FROM accounts AS a
LEFT JOIN account_closures AS c
    ON a.ledger_id = c.ledger_id AND a.account_number = c.account_number
WHERE
    a.ledger_id = %(ledger_id)s
    AND a.name > %(after_name)s
    AND a.name >= %(low)s
    AND a.name <= %(high)s
    AND (%(path)s = '' OR a.name = %(path)s OR a.name >= %(path)s || '/')
ORDER BY a.name
LIMIT %(limit)s
