-- Takes a name and a request_id for a ledger that is to be made at another shard, unless one of them is taken.
INSERT INTO ledger_placements (name, request_id, state, shard, first_shard)
SELECT
    %(name)s,
    %(request_id)s,
    'LEFT',
    %(shard)s,
    %(shard)s AS first_shard
WHERE NOT EXISTS (
    SELECT FROM ledgers AS l
    WHERE l.name = %(name)s OR l.request_id = %(request_id)s
)
ON CONFLICT DO NOTHING
