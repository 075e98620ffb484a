-- What is missing may be found to be older than the last change that the database had.
GRANT UPDATE (known_until) ON database_gap TO gateway_service;
