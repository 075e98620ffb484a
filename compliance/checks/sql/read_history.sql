-- What was counted for some customers, merchants and cards, in all currencies; how some payments are counted;
-- and which requests were decided already.
SELECT
    h.scope,
    h.key,
    h.currency_code,
    h.content
FROM unnest(%(scopes)b::text [], %(keys)b::text []) AS asked (scope, key)
INNER JOIN payment_history AS h ON asked.scope = h.scope AND asked.key = h.key
UNION ALL
SELECT
    'COUNTED' AS scope,
    c.reference_id AS key,
    '' AS currency_code,
    c.content
FROM unnest(%(references)b::text []) AS asked (reference_id)
INNER JOIN counted_payment AS c ON asked.reference_id = c.reference_id
UNION ALL
SELECT
    'DECIDED' AS scope,
    d.request_id AS key,
    '' AS currency_code,
    '' AS content
FROM unnest(%(requests)b::text []) AS asked (request_id)
INNER JOIN decision AS d ON asked.request_id = d.request_id
