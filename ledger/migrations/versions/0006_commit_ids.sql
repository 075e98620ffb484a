-- Random for each commit; null until the first one that knows of it. A committer compares and swaps it together
-- with revision: a database that lost its last commits (a failover, a backup) reaches an old revision again, with
-- other balances.
ALTER TABLE ledger_heads ADD COLUMN commit_id uuid;
