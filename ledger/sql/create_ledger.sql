-- Makes a ledger here unless its name or the request_id is taken, here or at another shard.
WITH placed AS (
    INSERT INTO ledger_placements (name, request_id, state, shard, first_shard)
    SELECT
        %(name)s,
        %(request_id)s,
        'HERE',
        '',
        %(shard)s
    WHERE NOT EXISTS (
        SELECT FROM ledgers AS l
        WHERE l.name = %(name)s OR l.request_id = %(request_id)s
    )
    ON CONFLICT DO NOTHING
    RETURNING name
),

made AS (
    INSERT INTO ledgers (name, display_name, metadata, request_id, create_time)
    SELECT
        placed.name,
        %(display_name)s,
        %(metadata)s::jsonb,
        %(request_id)s,
        %(now)s
    FROM placed
    ON CONFLICT DO NOTHING
    RETURNING ledger_id
)

INSERT INTO ledger_heads (ledger_id, revision, last_sequence, last_account_number)
SELECT
    made.ledger_id,
    0,
    0,
    0
FROM made
