-- The accounts named, and those on which the transactions named have entries.
WITH wanted AS (
    SELECT a.account_number
    FROM accounts AS a
    WHERE a.ledger_id = %(ledger_id)s AND a.name = ANY(%(names)b)
    UNION
    SELECT e.account_number
    FROM entries AS e
    WHERE e.ledger_id = %(ledger_id)s AND e.sequence = ANY(%(sequences)b)
    UNION
    SELECT e.account_number
    FROM transactions AS t
    INNER JOIN entries AS e ON t.ledger_id = e.ledger_id AND t.sequence = e.sequence
    WHERE t.ledger_id = %(ledger_id)s AND t.request_id = ANY(%(source_ids)b)
)

-- Each account is looked up for itself, however many there are: OFFSET 0 keeps the planner, which may know
-- nothing of them yet, from reading the whole ledger's.
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
    c.close_time,
    b.posted_debits,
    b.posted_credits,
    b.pending_debits,
    b.pending_credits,
    b.version
FROM wanted
CROSS JOIN LATERAL (
    SELECT *
    FROM accounts
    WHERE accounts.ledger_id = %(ledger_id)s AND accounts.account_number = wanted.account_number
    OFFSET 0
) AS a
CROSS JOIN LATERAL (
    SELECT *
    FROM balances
    WHERE balances.ledger_id = %(ledger_id)s AND balances.account_number = wanted.account_number
    OFFSET 0
) AS b
LEFT JOIN account_closures AS c
    ON a.ledger_id = c.ledger_id AND a.account_number = c.account_number
