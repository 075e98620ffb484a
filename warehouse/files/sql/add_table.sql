-- A table of files, when the first one comes.
INSERT INTO stripe_table (table_name, kind, title) VALUES ({table_name}, {kind}, {title});
