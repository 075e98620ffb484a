-- Makes a ledger unless its name or the request_id is taken.
WITH made AS (
    INSERT INTO ledgers (name, display_name, metadata, request_id, create_time)
    VALUES (%(name)s, %(display_name)s, %(metadata)s::jsonb, %(request_id)s, %(now)s)
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
