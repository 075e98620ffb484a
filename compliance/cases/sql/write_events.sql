-- Adds what happened, in the given order; a trigger gives each its place, and holds others back until the
-- transaction ends. Times are microseconds since 1970.
INSERT INTO case_event (case_id, event, revision, scope, client, note, record_time)
SELECT
    n.case_id,
    n.event,
    n.revision,
    n.scope,
    n.client,
    n.note,
    timestamptz 'epoch' + n.record_time_us * interval '1 microsecond'
FROM jsonb_to_recordset(%(events)s::jsonb) AS n (
    place integer,
    case_id text,
    event text,
    revision bigint,
    scope text,
    client text,
    note text,
    record_time_us bigint
)
ORDER BY n.place
