-- Gives conditions that follow others of the same kind and subject to whom those were given.
INSERT INTO break_event (difference_id, event, assignee, client, note, record_time)
SELECT DISTINCT ON (n.difference_id)
    n.difference_id,
    'ASSIGNED',
    given.assignee,
    '',
    '',
    %(now)s
FROM difference AS n
INNER JOIN difference AS b ON n.kind = b.kind AND n.corridor = b.corridor AND n.subject = b.subject
CROSS JOIN LATERAL (
    SELECT v.assignee
    FROM break_event AS v
    WHERE v.difference_id = b.difference_id AND v.event = 'ASSIGNED'
    ORDER BY v.sequence DESC
    LIMIT 1
) AS given
WHERE n.difference_id = any(%(added)s) AND b.difference_id = any(%(ended)s) AND given.assignee <> ''
ORDER BY n.difference_id, b.difference_id DESC
