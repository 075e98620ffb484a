-- The first of some items that contradicts what is known: the same revision of other bytes, or another amount,
-- currency or instant.
SELECT
    n.source,
    n.key
FROM jsonb_to_recordset(%(items)s::jsonb) AS n (
    source text,
    corridor text,
    key text,
    revision bigint,
    currency text,
    amount_minor bigint,
    instant timestamptz,
    sha256 text
)
INNER JOIN item AS i ON n.source = i.source AND n.corridor = i.corridor AND n.key = i.key
WHERE
    n.currency <> i.currency
    OR n.amount_minor <> i.amount_minor
    OR n.instant <> i.instant
    OR (n.revision = i.revision AND decode(n.sha256, 'hex') <> i.sha256)
ORDER BY n.source, n.corridor, n.key
LIMIT 1
