-- How some items stand in a leg: the last row of each.
SELECT DISTINCT ON (s.item_id)
    s.item_id,
    s.generation,
    s.match_id,
    s.difference_id,
    s.is_ignored,
    m.rule,
    (r.match_id IS NOT NULL OR e.difference_id IS NOT NULL OR u.item_id IS NOT NULL) AS has_ended
FROM standing AS s
LEFT JOIN item_match AS m ON s.match_id = m.match_id
LEFT JOIN match_revocation AS r ON s.match_id = r.match_id
LEFT JOIN difference_end AS e ON s.difference_id = e.difference_id
LEFT JOIN ignore_step AS u
    ON
        s.is_ignored
        AND s.leg = u.leg
        AND s.item_id = u.item_id
        AND u.step = 4
        AND u.round = (
            SELECT count(*) FROM standing AS i
            WHERE i.leg = s.leg AND i.item_id = s.item_id AND i.is_ignored AND i.generation <= s.generation
        )
WHERE s.leg = %(leg)s AND s.item_id = any(%(item_ids)s)
ORDER BY s.item_id, s.generation DESC
