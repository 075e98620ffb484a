-- Other tables and views are made.
DELETE FROM warehouse_schema;
