-- How some items stood after a change, in each leg.
SELECT
    s.item_id,
    s.leg,
    s.match_id,
    s.difference_id,
    s.is_ignored,
    s.due
FROM item_standing AS s
WHERE
    s.item_id = any(%(item_ids)s)
    AND s.leg IN ('BOOKED', 'CONTENT', 'BANKED')
    AND s.begin_change <= %(change_number)s
    AND coalesce(s.end_change > %(change_number)s, true)
ORDER BY s.item_id, s.leg
