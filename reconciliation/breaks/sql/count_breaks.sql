-- Breaks that are open, by kind, age and currency: how many begin with the currency, and how much is at stake.
SELECT
    d.kind,
    CASE WHEN d.overdue <= :now THEN 'overdue' ELSE 'due' END AS age,
    a.amount ->> 0 AS currency,
    count(*) FILTER (WHERE coalesce(a.place, 1) = 1) AS number,
    sum(abs((a.amount ->> 1)::bigint)) AS amount_minor
FROM open_difference AS o
INNER JOIN difference AS d ON o.difference_id = d.difference_id
LEFT JOIN LATERAL jsonb_array_elements(d.amounts) WITH ORDINALITY AS a (amount, place) ON TRUE
WHERE EXISTS (SELECT FROM break_event AS v WHERE v.difference_id = o.difference_id AND v.event = 'OPENED')
GROUP BY 1, 2, 3
