-- Tells of the end of differences that were due.
INSERT INTO break_event (difference_id, event, assignee, client, note, record_time)
SELECT
    o.difference_id,
    'ENDED',
    '',
    %(client)s,
    %(note)s,
    %(now)s
FROM break_event AS o
WHERE o.difference_id = any(%(ended)s) AND o.event = 'OPENED'
ORDER BY o.difference_id
