-- Conditions of some kinds that hold, or that two people have accepted.
SELECT
    d.difference_id,
    d.kind,
    d.corridor,
    d.subject,
    d.amounts,
    s.difference_id IS NOT NULL AS is_accepted
FROM difference AS d
LEFT JOIN difference_end AS e ON d.difference_id = e.difference_id
LEFT JOIN acceptance_step AS s ON d.difference_id = s.difference_id AND s.step = 2
WHERE
    d.subject <> ''
    AND d.kind = any(%(kinds)s)
    AND (%(corridor)s = '' OR d.corridor = %(corridor)s)
    AND (e.difference_id IS NULL OR s.difference_id IS NOT NULL)
