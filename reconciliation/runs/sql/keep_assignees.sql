-- Gives differences that follow others, because an item was in both, to whom those were given.
INSERT INTO break_event (difference_id, event, assignee, client, note, record_time)
SELECT DISTINCT ON (n.difference_id)
    n.difference_id,
    'ASSIGNED',
    given.assignee,
    '',
    '',
    %(now)s
FROM standing AS n
INNER JOIN standing AS b ON n.leg = b.leg AND n.item_id = b.item_id AND b.generation = n.generation - 1
CROSS JOIN LATERAL (
    SELECT v.assignee
    FROM break_event AS v
    WHERE v.difference_id = b.difference_id AND v.event = 'ASSIGNED'
    ORDER BY v.sequence DESC
    LIMIT 1
) AS given
WHERE n.difference_id = any(%(added)s) AND given.assignee <> ''
ORDER BY n.difference_id, b.difference_id DESC
