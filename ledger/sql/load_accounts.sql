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
INNER JOIN accounts AS a
    ON a.ledger_id = %(ledger_id)s AND wanted.account_number = a.account_number
INNER JOIN balances AS b
    ON a.ledger_id = b.ledger_id AND a.account_number = b.account_number
LEFT JOIN account_closures AS c
    ON a.ledger_id = c.ledger_id AND a.account_number = c.account_number
