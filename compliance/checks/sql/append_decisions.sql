-- Appends decisions in the given order; a trigger gives each its place and hash. Those whose
-- request_id was decided before are left out of the answer.
INSERT INTO decision (record, request)
SELECT
    item.record,
    item.request
FROM unnest(%(records)b::text [], %(requests)b::bytea []) WITH ORDINALITY AS item (record, request, place)
ORDER BY item.place
ON CONFLICT DO NOTHING
RETURNING decision_id, sequence, previous_hash, hash
