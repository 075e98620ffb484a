-- Everything that some checks look at, in one round trip: parts, each under the key that a check asks for it by.
-- Times are microseconds since 1970. Each is looked up by its key, whatever the planner knows of the tables.
WITH involved AS (
    SELECT
        'SUBJECT' AS part,
        s.subject_id AS key,
        s.*
    FROM unnest(%(subjects)b::text []) AS asked (subject_id)
    CROSS JOIN LATERAL (
        SELECT subject.*
        FROM subject
        WHERE subject.subject_id = asked.subject_id
        OFFSET 0
    ) AS s
    UNION ALL
    SELECT
        'OWNER',
        asked.subject_id,
        s.*
    FROM unnest(%(merchants)b::text []) AS asked (subject_id)
    CROSS JOIN LATERAL (
        SELECT subject.*
        FROM subject
        WHERE subject.parent_subject_id = asked.subject_id AND subject.kind = 'OWNER'
        ORDER BY subject.ordinal
        LIMIT %(max_owners)s
    ) AS s
),

accounts AS (
    SELECT asked.connected_account_id
    FROM unnest(%(accounts)b::text []) AS asked (connected_account_id)
    UNION
    SELECT i.connected_account_id
    FROM involved AS i
    WHERE i.part = 'SUBJECT' AND i.connected_account_id IS NOT NULL
),

movements AS (
    SELECT
        asked.kind,
        asked.reference_id,
        asked.kind || '/' || asked.reference_id AS key
    FROM unnest(%(kinds)b::text [], %(references)b::text []) AS asked (kind, reference_id)
)

SELECT
    i.part,
    i.key,
    i.ordinal,
    json_build_object(
        'subject_id', i.subject_id,
        'kind', i.kind,
        'parent_subject_id', coalesce(i.parent_subject_id, ''),
        'state', i.state,
        'kyc_state', i.kyc_state,
        'kyc_expire_time', (extract(EPOCH FROM i.kyc_expire_time) * 1e6)::bigint,
        'country_code', i.country_code,
        'corridor', coalesce(i.corridor, ''),
        'connected_account_id', coalesce(i.connected_account_id, ''),
        'revision', i.revision,
        'profile_revision', i.profile_revision,
        'update_time', (extract(EPOCH FROM i.update_time) * 1e6)::bigint,
        'screenings', coalesce(
            (
                SELECT
                    json_agg(
                        json_build_object(
                            'list', s.list,
                            'list_version', s.list_version,
                            'profile_revision', s.profile_revision,
                            'screen_time', (extract(EPOCH FROM s.screen_time) * 1e6)::bigint,
                            'is_comparable', s.is_comparable
                        )
                        ORDER BY s.list
                    )
                FROM screening AS s
                WHERE s.subject_id = i.subject_id
            ), '[]'
        ),
        'open_match_ids', coalesce(m.open_ids, '[]'),
        'confirmed_match_ids', coalesce(m.confirmed_ids, '[]'),
        'verifications', coalesce(v.content, '[]')
    )::text AS content
FROM involved AS i
CROSS JOIN LATERAL (
    SELECT
        json_agg(m.match_id ORDER BY m.match_id) FILTER (WHERE m.state = 'OPEN') AS open_ids,
        json_agg(m.match_id ORDER BY m.match_id) FILTER (WHERE m.state = 'CONFIRMED') AS confirmed_ids
    FROM match AS m
    WHERE m.subject_id = i.subject_id
) AS m
LEFT JOIN subject_identity AS v ON i.subject_id = v.subject_id
UNION ALL
SELECT
    'ACCOUNT',
    f.connected_account_id,
    0,
    json_build_object(
        'connected_account_id', f.connected_account_id,
        'corridor', f.corridor,
        'gateway_merchant_id', f.gateway_merchant_id,
        'content', f.content,
        'content_hash', f.content_hash,
        'fetch_time', (extract(EPOCH FROM f.fetch_time) * 1e6)::bigint
    )::text
FROM accounts AS asked
CROSS JOIN LATERAL (
    SELECT
        a.*,
        s.content
    FROM account_latest AS a
    INNER JOIN account_snapshot AS s
        ON a.connected_account_id = s.connected_account_id AND a.content_hash = s.content_hash
    WHERE a.connected_account_id = asked.connected_account_id
    OFFSET 0
) AS f
UNION ALL
SELECT
    'LIST',
    v.list,
    0,
    json_build_object(
        'list', v.list,
        'version', v.version,
        'confirm_time', (extract(EPOCH FROM v.confirm_time) * 1e6)::bigint
    )::text
FROM list_version AS v
WHERE v.state = 'ACTIVE'
UNION ALL
SELECT
    'RULING',
    m.key,
    0,
    f.ruling
FROM movements AS m
CROSS JOIN LATERAL (
    SELECT c.ruling
    FROM review_case AS c
    WHERE c.kind = m.kind AND c.reference_id = m.reference_id AND c.ruling IS NOT NULL
    ORDER BY c.ordinal DESC
    LIMIT 1
) AS f
UNION ALL
SELECT
    'OPEN_CASE',
    m.key,
    0,
    f.case_id
FROM movements AS m
CROSS JOIN LATERAL (
    SELECT c.case_id
    FROM review_case AS c
    WHERE c.kind = m.kind AND c.reference_id = m.reference_id AND c.state = 'OPEN'
    OFFSET 0
) AS f
UNION ALL
SELECT
    'RATES',
    m.subject_id,
    0,
    json_build_object(
        'epoch', w.epoch,
        'sequence', w.sequence,
        'follow_time', (extract(EPOCH FROM w.follow_time) * 1e6)::bigint,
        'day', coalesce(r.day::text, ''),
        'figures', coalesce(r.figures, '{}')
    )::text
FROM unnest(%(merchants)b::text []) AS m (subject_id)
CROSS JOIN outcome_watch AS w
LEFT JOIN LATERAL (
    SELECT x.*
    FROM merchant_rates AS x
    WHERE x.merchant_id = m.subject_id
    OFFSET 0
) AS r ON TRUE
WHERE w.follow_time IS NOT NULL
ORDER BY ordinal
