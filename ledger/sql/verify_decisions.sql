-- The next answers kept under a request_id, by their ids.
SELECT
    d.request_id,
    d.operation,
    d.failed,
    d.answer,
    h.last_sequence
FROM decisions AS d
INNER JOIN ledger_heads AS h ON d.ledger_id = h.ledger_id
WHERE d.ledger_id = %(ledger_id)s AND d.request_id > %(after)s
ORDER BY d.request_id
LIMIT %(limit)s
