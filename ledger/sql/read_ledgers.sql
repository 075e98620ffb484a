-- Ledgers in order of their names, or one of them.
SELECT
    l.ledger_id,
    l.name,
    l.display_name,
    l.metadata,
    l.request_id,
    l.create_time,
    h.last_sequence,
    h.last_record_time
FROM ledgers AS l
INNER JOIN ledger_heads AS h ON l.ledger_id = h.ledger_id
WHERE l.name > %(after_name)s AND l.name >= %(low)s AND l.name <= %(high)s
ORDER BY l.name
LIMIT %(limit)s
