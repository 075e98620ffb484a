-- A column, when the first file comes that has its heading.
INSERT INTO stripe_column (table_name, column_name, heading) VALUES ({table_name}, {column_name}, {heading});
