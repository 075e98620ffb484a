-- What is kept beside the log, as of its end.
INSERT INTO balances (
    ledger_id, account_number, posted_debits, posted_credits, pending_debits, pending_credits, version
)
SELECT
    1, t.account_number, t.posted_debits, t.posted_credits, t.pending_debits, t.pending_credits, t.version
FROM history_totals AS t;

UPDATE ledger_heads
SET
    revision = %(last)s,
    last_sequence = %(last)s,
    last_record_time = (
        SELECT t.record_time FROM transactions AS t WHERE t.ledger_id = 1 AND t.sequence = %(last)s
    )
WHERE ledger_id = 1;

INSERT INTO snapshot_heads VALUES (1, 0) ON CONFLICT DO NOTHING;

DROP TABLE history_totals;
DROP FUNCTION history_leg;
DROP FUNCTION history_time
