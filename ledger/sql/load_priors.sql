-- What is known of request ids: the transactions that have them and the decisions kept for them.
SELECT
    t.request_id,
    t.kind,
    NULL::smallint AS operation,
    t.body,
    t.sequence,
    FALSE AS failed,
    NULL::bytea AS answer,
    NULL::bytea AS fingerprint
FROM transactions AS t
WHERE t.ledger_id = %(ledger_id)s AND t.request_id = ANY(%(request_ids)b)
UNION ALL
SELECT
    d.request_id,
    NULL,
    d.operation,
    d.body,
    NULL,
    d.failed,
    d.answer,
    d.fingerprint
FROM decisions AS d
WHERE d.ledger_id = %(ledger_id)s AND d.request_id = ANY(%(request_ids)b)
