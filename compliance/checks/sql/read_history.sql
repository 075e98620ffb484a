-- What was counted for some customers, merchants and cards, in all currencies; how some payments are counted;
-- and which requests were decided already. Each is looked up by its key, whatever the planner knows of the tables.
SELECT
    asked.scope,
    asked.key,
    found.currency_code,
    found.content
FROM unnest(%(scopes)b::text [], %(keys)b::text []) AS asked (scope, key)
CROSS JOIN LATERAL (
    SELECT
        h.currency_code,
        h.content
    FROM payment_history AS h
    WHERE h.scope = asked.scope AND h.key = asked.key
    OFFSET 0
) AS found
UNION ALL
SELECT
    'COUNTED' AS scope,
    asked.reference_id AS key,
    '' AS currency_code,
    found.content
FROM unnest(%(references)b::text []) AS asked (reference_id)
CROSS JOIN LATERAL (
    SELECT c.content
    FROM counted_payment AS c
    WHERE c.reference_id = asked.reference_id
    OFFSET 0
) AS found
UNION ALL
SELECT
    'DECIDED' AS scope,
    asked.request_id AS key,
    '' AS currency_code,
    '' AS content
FROM unnest(%(requests)b::text []) AS asked (request_id)
CROSS JOIN LATERAL (
    SELECT d.request_id
    FROM decision AS d
    WHERE d.request_id = asked.request_id
    OFFSET 0
) AS found
