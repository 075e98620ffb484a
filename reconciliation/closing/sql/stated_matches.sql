-- Some matches with what they take, in the order of statements.
SELECT
    m.match_id,
    m.leg,
    m.rule,
    i.source,
    i.corridor,
    i.key,
    i.currency,
    s.amount_minor
FROM item_match AS m
INNER JOIN standing AS s ON m.match_id = s.match_id
INNER JOIN item AS i ON s.item_id = i.ordinal
WHERE m.match_id = any(%(match_ids)s)
ORDER BY m.match_id, i.source, i.corridor, i.key
