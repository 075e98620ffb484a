-- Everything that a check looks at, in one round trip. Times are microseconds since 1970.
WITH involved AS (
    SELECT 'MERCHANT' AS role, subject.*
    FROM subject
    WHERE subject_id = %(merchant_id)s::text
    UNION ALL
    SELECT 'CUSTOMER' AS role, subject.*
    FROM subject
    WHERE subject_id = %(customer_id)s::text
    UNION ALL
    (
        SELECT 'OWNER' AS role, subject.*
        FROM subject
        WHERE parent_subject_id = %(merchant_id)s::text AND kind = 'OWNER'
        ORDER BY ordinal
        LIMIT %(max_owners)s
    )
),

described AS (
    SELECT
        jsonb_build_object(
            'subject_id', i.subject_id,
            'role', i.role,
            'kind', i.kind,
            'parent_subject_id', coalesce(i.parent_subject_id, ''),
            'state', i.state,
            'kyc_state', i.kyc_state,
            'kyc_expire_time', (extract(EPOCH FROM i.kyc_expire_time) * 1000000)::bigint,
            'country_code', i.country_code,
            'corridor', coalesce(i.corridor, ''),
            'connected_account_id', coalesce(i.connected_account_id, ''),
            'revision', i.revision,
            'profile_revision', i.profile_revision,
            'update_time', (extract(EPOCH FROM i.update_time) * 1000000)::bigint,
            'screenings', coalesce(
                (
                    SELECT
                        jsonb_agg(
                            jsonb_build_object(
                                'list', s.list,
                                'list_version', s.list_version,
                                'profile_revision', s.profile_revision,
                                'screen_time', (extract(EPOCH FROM s.screen_time) * 1000000)::bigint,
                                'is_comparable', s.is_comparable
                            )
                            ORDER BY s.list
                        )
                    FROM screening AS s
                    WHERE s.subject_id = i.subject_id
                ), '[]'
            ),
            'open_match_ids', coalesce(
                (
                    SELECT jsonb_agg(m.match_id ORDER BY m.match_id)
                    FROM match AS m
                    WHERE m.subject_id = i.subject_id AND m.state = 'OPEN'
                ), '[]'
            ),
            'confirmed_match_ids', coalesce(
                (
                    SELECT jsonb_agg(m.match_id ORDER BY m.match_id)
                    FROM match AS m
                    WHERE m.subject_id = i.subject_id AND m.state = 'CONFIRMED'
                ), '[]'
            ),
            'verifications', coalesce(
                (
                    SELECT v.content
                    FROM subject_identity AS v
                    WHERE v.subject_id = i.subject_id
                ), '[]'
            )
        ) AS subject,
        i.ordinal
    FROM involved AS i
)

SELECT
    (
        SELECT d.sequence
        FROM decision AS d
        WHERE d.request_id = %(request_id)s::text
    ) AS decided_sequence,
    (SELECT coalesce(jsonb_agg(d.subject ORDER BY d.ordinal), '[]') FROM described AS d) AS subjects,
    (
        SELECT
            jsonb_build_object(
                'connected_account_id', a.connected_account_id,
                'corridor', a.corridor,
                'gateway_merchant_id', a.gateway_merchant_id,
                'content', s.content,
                'content_hash', a.content_hash,
                'fetch_time', (extract(EPOCH FROM a.fetch_time) * 1000000)::bigint
            )
        FROM account_latest AS a
        INNER JOIN account_snapshot AS s
            ON a.connected_account_id = s.connected_account_id AND a.content_hash = s.content_hash
        WHERE
            a.connected_account_id = coalesce(
                nullif(%(connected_account_id)s::text, ''),
                (SELECT i.connected_account_id FROM involved AS i WHERE i.role = 'MERCHANT')
            )
    ) AS account,
    (
        SELECT
            coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'list', v.list,
                        'version', v.version,
                        'confirm_time', (extract(EPOCH FROM v.confirm_time) * 1000000)::bigint
                    )
                    ORDER BY v.list
                ), '[]'
            )
        FROM list_version AS v
        WHERE v.state = 'ACTIVE'
    ) AS lists,
    (
        SELECT c.ruling
        FROM review_case AS c
        WHERE c.kind = %(kind)s::text AND c.reference_id = %(reference_id)s::text AND c.ruling IS NOT NULL
        ORDER BY c.ordinal DESC
        LIMIT 1
    ) AS ruling,
    exists(
        SELECT 1
        FROM review_case AS c
        WHERE c.kind = %(kind)s::text AND c.reference_id = %(reference_id)s::text AND c.state = 'OPEN'
    ) AS has_open_case
