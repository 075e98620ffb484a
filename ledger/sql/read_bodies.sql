-- What was asked for to make the transactions named.
SELECT
    t.sequence,
    t.body
FROM transactions AS t
WHERE t.ledger_id = %(ledger_id)s AND t.sequence = ANY(%(sequences)b)
