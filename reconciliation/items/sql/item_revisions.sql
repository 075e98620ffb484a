-- All that was known of some items up to an ordinal, in the order in which it came.
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
    v.content,
    k.record_time
FROM (
    SELECT i.ordinal FROM item AS i
    WHERE i.ordinal = any(%(item_ids)s)
    UNION ALL
    SELECT i.ordinal FROM item AS i
    WHERE i.item_id = any(%(item_ids)s) AND i.item_id <> i.ordinal
) AS o
INNER JOIN item AS v ON o.ordinal = v.ordinal
INNER JOIN intake AS k ON v.intake_number = k.intake_number
WHERE v.ordinal <= %(last_ordinal)s
ORDER BY v.ordinal
