-- The last sequence that was recorded by a moment, after which nothing is recorded of it any more.
SELECT close_moment(%(ledger_id)s, %(moment)s) AS sequence
