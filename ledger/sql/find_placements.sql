-- What is known here of a ledger of that name, and of the one that this request_id made: at most one of each.
SELECT
    p.name,
    p.request_id,
    p.state,
    p.shard,
    p.first_shard
FROM ledger_placements AS p
WHERE p.name = %(name)s OR p.request_id = %(request_id)s
