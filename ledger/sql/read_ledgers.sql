-- Ledgers that are here in order of their names, or the one of a name: who asks for it knows that it is here.
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
LEFT JOIN ledger_placements AS p ON l.name = p.name
WHERE
    l.name > %(after_name)s
    AND l.name >= %(low)s
    AND l.name <= %(high)s
    AND (%(low)s = %(high)s OR p.state IS NULL OR p.state NOT IN ('LEFT', 'ARRIVING'))
ORDER BY l.name
LIMIT %(limit)s
