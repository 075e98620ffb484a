-- The last sequence that was recorded by a moment, after which nothing is recorded of it any more; or by a later
-- one, of which that is not said.
SELECT
    greatest(
        close_moment(%(ledger_id)s, %(moment)s), sequence_at(%(ledger_id)s, %(through)s)
    ) AS sequence
