-- Of a corridor in a currency: what no match has of the lines and of the payouts that stand and their adjustments,
-- what of the lines is compared with nothing, and what the ledger says has left the balance at Stripe with payouts and
-- has not come back, with what was adjusted at the bank.
WITH last_said AS (
    SELECT DISTINCT ON (i.item_id)
        i.item_id,
        i.source,
        i.amount_minor,
        i.state
    FROM item AS i
    WHERE i.source IN ('PAYOUT', 'BANK', 'ADJUSTMENT') AND i.corridor = %(corridor)s AND i.currency = %(currency)s
    ORDER BY i.item_id, i.revision DESC
),

open_items AS (
    SELECT
        n.source,
        n.amount_minor
    FROM last_said AS n
    WHERE
        n.state = 'BOOKED'
        AND NOT EXISTS (
            SELECT
            FROM standing AS s
            LEFT JOIN match_revocation AS r ON s.match_id = r.match_id
            WHERE s.leg = 'BANKED' AND s.item_id = n.item_id AND s.match_id IS NOT NULL AND r.match_id IS NULL
        )
)

SELECT
    coalesce((SELECT sum(o.amount_minor) FROM open_items AS o WHERE o.source = 'BANK'), 0)::bigint AS open_lines,
    coalesce((SELECT sum(o.amount_minor) FROM open_items AS o WHERE o.source <> 'BANK'), 0)::bigint AS open_payouts,
    (SELECT count(*) FROM last_said AS n WHERE n.source = 'PAYOUT') AS payouts,
    coalesce(
        (
            SELECT sum(n.amount_minor)
            FROM (
                SELECT DISTINCT ON (l.line_key) l.amount_minor
                FROM bank_line AS l
                INNER JOIN bank_statement AS s ON l.statement_id = s.statement_id
                WHERE s.bank_account = any(%(accounts)s) AND l.line_key <> '' AND NOT l.is_compared
            ) AS n
        ),
        0
    )::bigint AS other_lines,
    coalesce(
        (
            SELECT -sum(i.amount_minor)
            FROM item AS i
            WHERE
                i.source = 'LEDGER'
                AND i.corridor = %(corridor)s
                AND i.currency = %(currency)s
                AND i.item_id = i.ordinal
                AND (i.key LIKE 'payout.%%' OR i.key LIKE 'payout\_failed.%%')
        ),
        0
    )::bigint
    + coalesce((SELECT sum(n.amount_minor) FROM last_said AS n WHERE n.source = 'ADJUSTMENT'), 0)::bigint AS ledger
