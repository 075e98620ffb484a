-- Notes against which version subjects were screened, one row for each and list. Times are microseconds
-- since 1970.
INSERT INTO screening (
    subject_id, list, profile_revision, list_version, screen_time, rules_version, is_comparable
)
SELECT
    n.subject_id,
    %(list)s,
    n.profile_revision,
    n.list_version,
    timestamptz 'epoch' + %(screen_time_us)s * interval '1 microsecond',
    %(rules_version)s,
    n.is_comparable
FROM jsonb_to_recordset(%(screenings)s::jsonb) AS n (
    subject_id text,
    profile_revision bigint,
    list_version bigint,
    is_comparable boolean
)
ORDER BY n.subject_id
ON CONFLICT (subject_id, list) DO UPDATE SET
    profile_revision = excluded.profile_revision,
    list_version = excluded.list_version,
    screen_time = excluded.screen_time,
    rules_version = excluded.rules_version,
    is_comparable = excluded.is_comparable
