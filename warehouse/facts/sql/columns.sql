-- The columns that a table has.
SELECT c.column_name
FROM information_schema.columns AS c
WHERE c.table_schema = current_schema() AND c.table_name = {table_name}
ORDER BY c.ordinal_position;
