-- How far the server has written its log: what queries have seen before is not beyond it.
SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint
