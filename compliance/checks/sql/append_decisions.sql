-- Appends decisions in the given order, and how payments count from now on; a trigger gives each decision its
-- place and hash. Those whose request_id was decided before are left out of the answer.
WITH kept AS (
    INSERT INTO payment_history (scope, key, currency_code, content)
    SELECT
        item.scope,
        item.key,
        item.currency_code,
        item.content
    FROM unnest(
        %(scopes)b::text [], %(keys)b::text [], %(currencies)b::text [], %(histories)b::text []
    ) AS item (scope, key, currency_code, content)
    ON CONFLICT (scope, key, currency_code) DO UPDATE SET content = excluded.content
),

counted AS (
    INSERT INTO counted_payment (reference_id, content)
    SELECT
        item.reference_id,
        item.content
    FROM unnest(%(references)b::text [], %(payments)b::text []) AS item (reference_id, content)
    ON CONFLICT (reference_id) DO UPDATE SET content = excluded.content
)

INSERT INTO decision (record, request)
SELECT
    item.record,
    item.request
FROM unnest(%(records)b::text [], %(bodies)b::bytea []) WITH ORDINALITY AS item (record, request, place)
ORDER BY item.place
RETURNING decision_id, sequence, previous_hash, hash
