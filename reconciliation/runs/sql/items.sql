-- The rows of some items, with their revisions.
SELECT
    i.ordinal,
    i.item_id,
    i.source,
    i.corridor,
    i.key,
    i.revision,
    i.currency,
    i.amount_minor,
    i.instant,
    i.book_date,
    i.sha256,
    i.tokens,
    i.group_key,
    i.state,
    i.content
FROM item AS i
WHERE i.ordinal = any(%(item_ids)s)
UNION ALL
SELECT
    v.ordinal,
    v.item_id,
    v.source,
    v.corridor,
    v.key,
    v.revision,
    v.currency,
    v.amount_minor,
    v.instant,
    v.book_date,
    v.sha256,
    v.tokens,
    v.group_key,
    v.state,
    v.content
FROM item AS v
WHERE v.item_id = any(%(item_ids)s) AND v.item_id <> v.ordinal AND v.ordinal <= %(upto)s
