-- Adds a checkpoint and the subtrees that are complete with it, or nothing if another sealer was first or the ledger is
-- being moved. The placement's lock is what a move waits for: no checkpoint comes after it has begun to copy.
WITH placed AS (
    SELECT p.state
    FROM ledger_placements AS p
    INNER JOIN ledgers AS l ON p.name = l.name
    WHERE l.ledger_id = %(ledger_id)s
    FOR SHARE OF p
),

added AS (
    INSERT INTO checkpoints (
        ledger_id, tree_size, previous_size, root_hash, account_count, accounts_hash, note,
        seal_time
    )
    SELECT
        %(ledger_id)s,
        %(tree_size)s,
        %(previous_size)s,
        %(root_hash)s,
        %(account_count)s,
        %(accounts_hash)s,
        %(note)s,
        %(seal_time)s
    WHERE NOT EXISTS (SELECT FROM placed AS p WHERE p.state <> 'HERE')
    ON CONFLICT DO NOTHING
    RETURNING ledger_id
),

added_nodes AS (
    INSERT INTO sealed_nodes (ledger_id, level, position, hash)
    SELECT
        added.ledger_id,
        n.level,
        n.position,
        n.hash
    FROM
        added,
        unnest(%(levels)b, %(positions)b, %(hashes)b) AS n (level, position, hash)
)

SELECT count(*) FROM added
