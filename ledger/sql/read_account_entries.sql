-- A page of one account's entries within a span of the log.
SELECT
    e.sequence,
    e.entry_index
FROM accounts AS a
INNER JOIN entries AS e ON a.ledger_id = e.ledger_id AND a.account_number = e.account_number
WHERE
    a.ledger_id = %(ledger_id)s
    AND a.name = %(account)s
    AND (e.sequence, e.entry_index) > (%(after_sequence)s, %(after_index)s)
    AND e.sequence <= %(through_sequence)s
ORDER BY e.sequence, e.entry_index
LIMIT %(limit)s
