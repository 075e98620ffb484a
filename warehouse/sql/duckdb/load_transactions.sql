-- The staged transactions as rows.
INSERT INTO ledger_transaction (
    ledger, sequence, kind, record_time, effective_time, expire_time, request_id, reference, settles, reverses,
    metadata, exchanges, leaf
)
SELECT
    s.ledger,
    s.sequence,
    s.content.kind,
    cast(s.content.record_time AS TIMESTAMPTZ),
    cast(s.content.effective_time AS TIMESTAMPTZ),
    cast(s.content.expire_time AS TIMESTAMPTZ),
    s.content.request_id,
    s.content.reference,
    cast(s.content.settles AS BIGINT),
    cast(s.content.reverses AS BIGINT),
    cast(s.content.metadata AS VARCHAR),
    cast(s.content.exchanges AS VARCHAR),
    s.leaf
FROM staged_leaf AS s
ORDER BY s.sequence;
