-- The open cases of some movements, locked in one order, in the columns' order of the store.
SELECT
    c.case_id,
    c.ordinal,
    c.state,
    c.scope,
    c.revision,
    c.assignee,
    c.first_approver,
    c.decision_id,
    c.corridor,
    c.check_time,
    c.open_time,
    c.expire_time,
    c.close_time,
    c.closed_by,
    c.close_note,
    c.ruling
FROM review_case AS c
WHERE
    c.state = 'OPEN'
    AND (c.kind, c.reference_id) IN (
        SELECT
            asked.kind,
            asked.reference_id
        FROM unnest(%(kinds)s::text [], %(references)s::text []) AS asked (kind, reference_id)
    )
ORDER BY c.case_id
FOR UPDATE
