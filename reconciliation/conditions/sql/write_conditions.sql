-- Adds differences that are of a subject and not of items; their ids.
INSERT INTO difference (
    difference_id, subject, kind, corridor, amounts, since, due, overdue, sentence, proposal, change_number
)
SELECT
    nextval('difference_ids'),
    n.subject,
    n.kind,
    n.corridor,
    n.amounts,
    n.since,
    n.due,
    n.overdue,
    n.sentence,
    '{}',
    %(change_number)s
FROM jsonb_to_recordset(%(conditions)s::jsonb) AS n (
    subject text,
    kind text,
    corridor text,
    amounts jsonb,
    since timestamptz,
    due timestamptz,
    overdue timestamptz,
    sentence text
)
RETURNING difference_id
