-- The tables of Stripe's files, and the columns of each, whose names have no comma.
SELECT
    t.table_name,
    t.kind,
    string_agg(c.column_name, ',' ORDER BY c.column_name) AS column_names
FROM stripe_table AS t
INNER JOIN stripe_column AS c ON c.table_name = t.table_name
GROUP BY t.table_name, t.kind
ORDER BY t.table_name;
