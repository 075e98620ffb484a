-- Breaks and expectations as they are after a change, at a time; all conditions that are given hold.
SELECT
    d.difference_id,
    coalesce(d.leg, 'UNSPECIFIED') AS leg,
    d.subject,
    d.kind,
    d.corridor,
    d.amounts,
    d.since,
    d.due,
    d.overdue,
    d.sentence,
    d.proposal,
    coalesce(e.change_number <= %(change_number)s, false) AS has_ended,
    array(
        SELECT s.item_id
        FROM standing AS s
        WHERE s.difference_id = d.difference_id
        ORDER BY s.item_id
    ) AS item_ids,
    coalesce(
        (
            SELECT v.assignee
            FROM break_event AS v
            WHERE v.difference_id = d.difference_id AND v.event = 'ASSIGNED' AND v.record_time <= %(now)s
            ORDER BY v.sequence DESC
            LIMIT 1
        ), ''
    ) AS assignee
FROM difference AS d
LEFT JOIN difference_end AS e ON d.difference_id = e.difference_id
WHERE
    d.difference_id > %(after)s
    AND (%(every)s OR d.difference_id = any(%(ids)s))
    AND d.change_number <= %(change_number)s
    AND (%(kind)s = '' OR d.kind = %(kind)s)
    AND (%(leg)s = '' OR d.leg = %(leg)s)
    AND (%(corridor)s = '' OR d.corridor = %(corridor)s)
    AND (
        %(assignee)s = ''
        OR %(assignee)s = (
            SELECT v.assignee
            FROM break_event AS v
            WHERE v.difference_id = d.difference_id AND v.event = 'ASSIGNED' AND v.record_time <= %(now)s
            ORDER BY v.sequence DESC
            LIMIT 1
        )
    )
    AND CASE %(state)s
        WHEN 'ANY' THEN true
        WHEN 'ENDED'
            THEN
                e.change_number <= %(change_number)s
                AND EXISTS (
                    SELECT FROM break_event AS o
                    WHERE o.difference_id = d.difference_id AND o.event = 'OPENED'
                )
        WHEN 'EXPECTED' THEN coalesce(e.change_number > %(change_number)s, true) AND d.due > %(now)s
        WHEN 'DUE'
            THEN coalesce(e.change_number > %(change_number)s, true) AND d.due <= %(now)s AND d.overdue > %(now)s
        WHEN 'OVERDUE' THEN coalesce(e.change_number > %(change_number)s, true) AND d.overdue <= %(now)s
        ELSE coalesce(e.change_number > %(change_number)s, true) AND d.due <= %(now)s
    END
ORDER BY d.difference_id
LIMIT %(limit)s
