-- Adjustments with how far they are; all conditions that are given hold. Those that are under way have been decided
-- and have neither been completed nor failed.
SELECT
    a.adjustment_id,
    a.difference_id,
    f.leg,
    a.ledger_request_id,
    a.corridor,
    a.amounts,
    a.accounts,
    a.item_ids,
    a.token,
    a.needs_two,
    a.client,
    a.remark,
    a.record_time,
    coalesce(s.state, 'ASKED') AS state,
    coalesce(s.failure, '') AS failure,
    coalesce(d.approver, '') AS approver,
    d.record_time AS decide_time,
    coalesce(p.ledger_sequence, 0) AS ledger_sequence
FROM adjustment AS a
INNER JOIN difference AS f ON a.difference_id = f.difference_id
LEFT JOIN LATERAL (
    SELECT
        l.state,
        l.failure
    FROM adjustment_step AS l
    WHERE l.adjustment_id = a.adjustment_id
    ORDER BY l.step DESC
    LIMIT 1
) AS s ON TRUE
LEFT JOIN adjustment_step AS d ON a.adjustment_id = d.adjustment_id AND d.step = 1
LEFT JOIN adjustment_step AS p ON a.adjustment_id = p.adjustment_id AND p.step = 2
WHERE
    (%(adjustment_id)s = 0 OR a.adjustment_id = %(adjustment_id)s)
    AND (%(difference_id)s = 0 OR a.difference_id = %(difference_id)s)
    AND (NOT %(is_under_way)s OR s.state IN ('DECIDED', 'POSTED'))
ORDER BY a.adjustment_id
LIMIT %(limit)s
