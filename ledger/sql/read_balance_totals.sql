-- Totals over accounts per currency; the normal side is theirs if they agree on it, else debit.
SELECT
    b.currency_code,
    CASE WHEN min(b.normal_balance) = max(b.normal_balance) THEN min(b.normal_balance) ELSE 1 END
        AS normal_balance,
    sum(b.posted_debits)::bigint AS posted_debits,
    sum(b.posted_credits)::bigint AS posted_credits,
    sum(b.pending_debits)::bigint AS pending_debits,
    sum(b.pending_credits)::bigint AS pending_credits,
    sum(b.version)::bigint AS version
FROM balances_at(
    %(ledger_id)s, %(path)s, %(low)s, %(high)s, %(sequence)s, %(moment)s, %(effective)s, %(known)s,
    %(born)s
) AS b
GROUP BY b.currency_code
ORDER BY b.currency_code
