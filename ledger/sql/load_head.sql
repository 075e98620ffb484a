-- Where a ledger's log ends.
SELECT
    h.revision,
    h.commit_id,
    h.last_sequence,
    h.last_record_time,
    h.last_account_number,
    h.closed_time,
    h.fenced
FROM ledger_heads AS h
WHERE h.ledger_id = %(ledger_id)s
