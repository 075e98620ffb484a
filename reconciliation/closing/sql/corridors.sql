-- The corridors that items are of: one look at the index for each, and not for each item.
WITH RECURSIVE seen (source, corridor) AS (
    (
        SELECT
            i.source,
            i.corridor
        FROM item AS i
        ORDER BY i.source, i.corridor
        LIMIT 1
    )
    UNION ALL
    SELECT
        n.source,
        n.corridor
    FROM seen AS s
    CROSS JOIN LATERAL (
        SELECT
            i.source,
            i.corridor
        FROM item AS i
        WHERE (i.source, i.corridor) > (s.source, s.corridor)
        ORDER BY i.source, i.corridor
        LIMIT 1
    ) AS n
)

SELECT DISTINCT s.corridor FROM seen AS s
ORDER BY s.corridor
