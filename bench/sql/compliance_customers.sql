-- Copies of a customer, numbered from one on, screened as it is.
WITH copied AS (
    INSERT INTO subject (
        subject_id, kind, legal_name, aliases, entity_kind, birth_date, country_code, state, kyc_state,
        revision, profile_revision, create_time, update_time
    )
    SELECT
        s.subject_id || '-' || n,
        s.kind,
        s.legal_name,
        s.aliases,
        s.entity_kind,
        s.birth_date,
        s.country_code,
        s.state,
        s.kyc_state,
        s.revision,
        s.profile_revision,
        s.create_time,
        s.update_time
    FROM subject AS s
    CROSS JOIN generate_series(1, %(customers)s::bigint) AS n
    WHERE s.subject_id = %(customer)s
    RETURNING subject_id
)

INSERT INTO screening (
    subject_id, list, profile_revision, list_version, screen_time, rules_version, is_comparable
)
SELECT
    c.subject_id,
    s.list,
    s.profile_revision,
    s.list_version,
    s.screen_time,
    s.rules_version,
    s.is_comparable
FROM copied AS c
CROSS JOIN screening AS s
WHERE s.subject_id = %(customer)s
