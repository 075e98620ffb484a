-- Whose table it is.
SELECT
    t.kind,
    t.title
FROM stripe_table AS t
WHERE t.table_name = {table_name};
