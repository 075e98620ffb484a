-- The leaf hashes of a span of transactions, one after the other, and how many they are.
SELECT
    coalesce(string_agg(t.leaf_hash, ''::bytea ORDER BY t.sequence), ''::bytea),
    count(*)
FROM transactions AS t
WHERE
    t.ledger_id = %(ledger_id)s
    AND t.sequence BETWEEN %(first)s AND %(last)s
