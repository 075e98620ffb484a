-- The last decided case of each of some movements that have one.
SELECT DISTINCT ON (c.kind, c.reference_id)
    c.kind,
    c.reference_id,
    c.case_id
FROM review_case AS c
INNER JOIN unnest(%(kinds)s::text [], %(references)s::text []) AS asked (kind, reference_id)
    ON c.kind = asked.kind AND c.reference_id = asked.reference_id
WHERE c.ruling IS NOT NULL
ORDER BY c.kind, c.reference_id, c.ordinal DESC
