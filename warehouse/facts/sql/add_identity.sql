-- Made once.
INSERT INTO warehouse_identity (identity)
SELECT {identity}
WHERE NOT EXISTS (SELECT i.identity FROM warehouse_identity AS i);
