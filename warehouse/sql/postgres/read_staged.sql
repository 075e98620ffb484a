-- Reads the leaves.
CREATE TEMP TABLE staged_leaf ON COMMIT DROP AS
SELECT
    c.content ->> 'ledger' AS ledger,
    (c.content ->> 'sequence')::bigint AS sequence,
    c.content,
    c.leaf
FROM (SELECT t.leaf, t.leaf::jsonb AS content FROM staged_text AS t) AS c;
