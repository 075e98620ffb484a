-- Says where a ledger is, if what was said of it before is among `from_states` (nothing counts as ''); one row if so.
WITH changed AS (
    INSERT INTO ledger_placements AS p (name, request_id, state, shard, first_shard)
    SELECT
        %(name)s,
        %(request_id)s,
        %(state)s,
        %(shard)s,
        %(first_shard)s
    WHERE
        '' = any(%(from_states)s::text[])
        OR EXISTS (SELECT FROM ledger_placements AS k WHERE k.name = %(name)s)
    ON CONFLICT (name) DO UPDATE SET state = excluded.state, shard = excluded.shard
    WHERE p.state = any(%(from_states)s::text[])
    RETURNING name
),

moved AS (
    UPDATE placement_version
    SET version = version + 1
    WHERE EXISTS (SELECT FROM changed)
)

SELECT changed.name FROM changed
