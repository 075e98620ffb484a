-- The items of each match that a person has revoked, of those that some items were in.
SELECT
    s.match_id,
    array_agg(s.item_id) AS item_ids
FROM standing AS s
WHERE
    s.match_id IN (
        SELECT o.match_id
        FROM standing AS o
        INNER JOIN match_revocation AS r ON o.match_id = r.match_id
        WHERE o.leg = %(leg)s AND o.item_id = any(%(item_ids)s) AND r.client <> ''
    )
GROUP BY s.match_id
