-- The matches that some items were in after a change.
SELECT DISTINCT s.match_id
FROM item_standing AS s
WHERE
    s.item_id = any(%(item_ids)s)
    AND s.leg IN ('BOOKED', 'CONTENT', 'BANKED')
    AND s.match_id IS NOT NULL
    AND s.begin_change <= %(change_number)s
    AND coalesce(s.end_change > %(change_number)s, TRUE)
