-- The items of some matches and differences.
SELECT
    s.match_id,
    s.difference_id,
    s.item_id
FROM standing AS s
WHERE s.match_id = any(%(match_ids)s)
UNION ALL
SELECT
    s.match_id,
    s.difference_id,
    s.item_id
FROM standing AS s
WHERE s.difference_id = any(%(difference_ids)s)
