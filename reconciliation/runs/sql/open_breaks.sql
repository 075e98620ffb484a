-- Tells of differences that have become due, in their order; those of this change, and older ones since the last look.
INSERT INTO break_event (difference_id, event, assignee, client, note, record_time)
SELECT
    d.difference_id,
    'OPENED',
    '',
    '',
    '',
    %(now)s
FROM difference AS d
LEFT JOIN difference_end AS e ON d.difference_id = e.difference_id
WHERE
    d.due <= %(due_until)s
    AND (d.due > %(due_before)s OR d.difference_id = any(%(added)s))
    AND e.difference_id IS NULL
ORDER BY d.due, d.difference_id
