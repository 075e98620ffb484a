-- Placements of that name or of the ledger that this request_id made: at most one of each.
SELECT
    p.name,
    p.request_id,
    p.state,
    p.shard,
    p.first_shard
FROM ledger_placements AS p
WHERE p.name = %(name)s OR p.request_id = %(request_id)s
