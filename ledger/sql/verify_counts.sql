-- How much a recomputation looks at.
SELECT
    h.last_sequence,
    (SELECT count(*) FROM accounts AS a WHERE a.ledger_id = h.ledger_id) AS accounts,
    (SELECT count(*) FROM entries AS e WHERE e.ledger_id = h.ledger_id) AS entries
FROM ledger_heads AS h
WHERE h.ledger_id = %(ledger_id)s
