-- What is known here of where a ledger is.
SELECT
    p.name,
    p.request_id,
    p.state,
    p.shard,
    p.first_shard
FROM ledger_placements AS p
WHERE p.name = %(name)s
