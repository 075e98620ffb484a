-- What they were made by.
INSERT INTO warehouse_schema (digest) VALUES ({digest});
