-- What the tables and views were made by last.
SELECT s.digest
FROM warehouse_schema AS s;
