-- What opened and ended after an event, in order.
SELECT
    v.sequence,
    v.event,
    v.record_time,
    d.difference_id,
    coalesce(d.leg, '') AS leg,
    d.subject,
    d.kind,
    d.corridor,
    d.amounts,
    d.since,
    d.due,
    d.overdue,
    d.sentence
FROM break_event AS v
INNER JOIN difference AS d ON v.difference_id = d.difference_id
WHERE v.sequence > %(after)s
ORDER BY v.sequence
LIMIT %(limit)s
