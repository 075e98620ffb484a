-- The staged transactions as rows.
INSERT INTO ledger_transaction (
    ledger, sequence, kind, record_time, effective_time, expire_time, request_id, reference, settles, reverses,
    metadata, exchanges, leaf
)
SELECT
    s.ledger,
    s.sequence,
    s.content ->> 'kind',
    (s.content ->> 'record_time')::timestamptz,
    (s.content ->> 'effective_time')::timestamptz,
    (s.content ->> 'expire_time')::timestamptz,
    s.content ->> 'request_id',
    s.content ->> 'reference',
    (s.content ->> 'settles')::bigint,
    (s.content ->> 'reverses')::bigint,
    s.content ->> 'metadata',
    s.content ->> 'exchanges',
    s.leaf
FROM staged_leaf AS s
ORDER BY s.sequence;
