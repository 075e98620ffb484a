-- Matches as they are after a change; all conditions that are given hold.
SELECT
    m.match_id,
    m.leg,
    m.rule,
    m.client,
    m.note,
    c.record_time AS create_time,
    rc.record_time AS revoke_time,
    coalesce(r.client, '') AS revoke_client,
    coalesce(r.note, '') AS revoke_note,
    (
        SELECT jsonb_agg(jsonb_build_array(s.item_id, s.amount_minor) ORDER BY s.item_id)
        FROM standing AS s
        WHERE s.match_id = m.match_id
    ) AS allocations
FROM item_match AS m
INNER JOIN change AS c ON m.change_number = c.change_number
LEFT JOIN match_revocation AS r ON m.match_id = r.match_id AND r.change_number <= %(change_number)s
LEFT JOIN change AS rc ON r.change_number = rc.change_number
WHERE
    m.match_id > %(after)s
    AND m.change_number <= %(change_number)s
    AND (%(match_id)s = 0 OR m.match_id = %(match_id)s)
    AND (%(leg)s = '' OR m.leg = %(leg)s)
    AND (%(include_revoked)s OR r.match_id IS NULL)
    AND (
        %(item_id)s = 0
        OR m.match_id IN (
            SELECT s.match_id
            FROM standing AS s
            WHERE s.leg = m.leg AND s.item_id = %(item_id)s AND s.match_id IS NOT NULL
        )
    )
ORDER BY m.match_id
LIMIT %(limit)s
