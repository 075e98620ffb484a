-- Where a ledger's log and its accounts end.
SELECT
    h.last_sequence,
    h.last_account_number
FROM ledger_heads AS h
WHERE h.ledger_id = %(ledger_id)s
