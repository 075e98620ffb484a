-- Writes cases down as they are now, in the given order: one that is closed makes room for the next of its
-- movement. Times are microseconds since 1970.
INSERT INTO review_case (
    case_id, state, kind, reference_id, merchant_id, customer_id, scope, revision, assignee, first_approver,
    decision_id, corridor, check_time, open_time, expire_time, close_time, closed_by, close_note, ruling
)
SELECT
    n.case_id,
    n.state,
    n.kind,
    n.reference_id,
    n.merchant_id,
    n.customer_id,
    n.scope,
    n.revision,
    n.assignee,
    n.first_approver,
    n.decision_id,
    n.corridor,
    timestamptz 'epoch' + n.check_time_us * interval '1 microsecond',
    timestamptz 'epoch' + n.open_time_us * interval '1 microsecond',
    timestamptz 'epoch' + n.expire_time_us * interval '1 microsecond',
    timestamptz 'epoch' + n.close_time_us * interval '1 microsecond',
    n.closed_by,
    n.close_note,
    n.ruling
FROM jsonb_to_recordset(%(cases)s::jsonb) AS n (
    place integer,
    case_id text,
    state text,
    kind text,
    reference_id text,
    merchant_id text,
    customer_id text,
    scope text,
    revision bigint,
    assignee text,
    first_approver text,
    decision_id text,
    corridor text,
    check_time_us bigint,
    open_time_us bigint,
    expire_time_us bigint,
    close_time_us bigint,
    closed_by text,
    close_note text,
    ruling text
)
ORDER BY n.place
ON CONFLICT (case_id) DO UPDATE SET
    state = excluded.state,
    scope = excluded.scope,
    revision = excluded.revision,
    assignee = excluded.assignee,
    first_approver = excluded.first_approver,
    decision_id = excluded.decision_id,
    corridor = excluded.corridor,
    check_time = excluded.check_time,
    close_time = excluded.close_time,
    closed_by = excluded.closed_by,
    close_note = excluded.close_note,
    ruling = excluded.ruling
