-- What the leaves say of themselves.
SELECT
    count(*) AS leaves,
    count(DISTINCT sequence) AS sequences,
    coalesce(min(sequence), 0) AS first,
    coalesce(max(sequence), 0) AS last,
    coalesce(min(ledger), '') AS first_ledger,
    coalesce(max(ledger), '') AS last_ledger
FROM staged_leaf;
