-- What finance asks of facts beside the ledger. Amounts are minor units of 64 bits: a sum that does not fit is an
-- error. Days and months are those of UTC.

-- Balance transactions by what they are: https://docs.stripe.com/reports/reporting-categories, else by their type.
-- What Stripe has no longer is left out. `moved_minor` is before fees; of rows without it, which old releases kept, it
-- is the net.
CREATE OR REPLACE VIEW balance_movement AS
SELECT
    k.corridor,
    k.balance_transaction_id,
    k.book_day,
    k.currency,
    k.category,
    k.stripe_payout_id,
    k.source_id,
    k.payment_id,
    CASE
        WHEN k.category IN ('charge', 'charge_failure', 'payment', 'payment_failure_refund') THEN 'charge'
        WHEN k.category IN ('refund', 'refund_failure', 'payment_refund', 'partial_capture_reversal') THEN 'refund'
        WHEN k.category IN ('dispute', 'dispute_reversal') OR k.source_type = 'dispute' THEN 'dispute'
        WHEN k.category IN ('fee', 'stripe_fee', 'stripe_fx_fee', 'tax_fee', 'network_cost') THEN 'fee'
        WHEN k.category IN ('payout', 'payout_reversal', 'payout_failure', 'payout_cancel') THEN 'payout'
        ELSE 'other'
    END AS kind,
    coalesce(k.gross_minor, k.net_minor) AS moved_minor,
    CASE WHEN k.gross_minor IS NULL THEN 0 ELSE coalesce(k.fee_minor, 0) END AS fee_minor,
    k.net_minor
FROM (
    SELECT
        t.corridor,
        t.balance_transaction_id,
        t.currency,
        t.stripe_payout_id,
        t.source_id,
        t.source_type,
        t.payment_id,
        t.gross_minor,
        t.fee_minor,
        t.net_minor,
        cast(t.stripe_create_time AT TIME ZONE 'UTC' AS date) AS book_day,
        coalesce(t.reporting_category, t.type) AS category
    FROM balance_transaction AS t
    WHERE t.state IS DISTINCT FROM 'MISSING'
) AS k;

-- What moved at Stripe, by what it is, and at the bank, by the ledger. Their fees are apart.
CREATE OR REPLACE VIEW daily_cash AS
SELECT
    d.book_day,
    d.corridor,
    d.currency,
    cast(sum(CASE d.kind WHEN 'charge' THEN d.moved_minor ELSE 0 END) AS bigint) AS charged_minor,
    cast(sum(CASE d.kind WHEN 'refund' THEN d.moved_minor ELSE 0 END) AS bigint) AS refunded_minor,
    cast(sum(CASE d.kind WHEN 'dispute' THEN d.moved_minor ELSE 0 END) AS bigint) AS disputed_minor,
    cast(sum(CASE d.kind WHEN 'other' THEN d.moved_minor ELSE 0 END) AS bigint) AS other_minor,
    cast(sum(CASE d.kind WHEN 'fee' THEN d.moved_minor ELSE 0 END - d.fee_minor) AS bigint) AS fees_minor,
    cast(sum(CASE d.kind WHEN 'payout' THEN d.moved_minor ELSE 0 END) AS bigint) AS paid_out_minor,
    cast(sum(d.net_minor) AS bigint) AS stripe_net_minor,
    cast(sum(d.bank_in_minor) AS bigint) AS bank_in_minor,
    cast(sum(d.bank_out_minor) AS bigint) AS bank_out_minor
FROM (
    SELECT
        m.book_day,
        m.corridor,
        m.currency,
        m.kind,
        m.moved_minor,
        m.fee_minor,
        m.net_minor,
        0 AS bank_in_minor,
        0 AS bank_out_minor
    FROM balance_movement AS m
    UNION ALL
    SELECT
        c.book_day,
        c.corridor,
        c.currency,
        'bank' AS kind,
        0 AS moved_minor,
        0 AS fee_minor,
        0 AS net_minor,
        cast(c.in_minor AS bigint) AS bank_in_minor,
        cast(c.out_minor AS bigint) AS bank_out_minor
    FROM ledger_daily_cash AS c
) AS d
GROUP BY d.book_day, d.corridor, d.currency;

-- What Stripe charged, by month and by what it is for: parts of fees, and balance transactions that are fees.
CREATE OR REPLACE VIEW fees_by_kind AS
SELECT
    f.book_month,
    f.corridor,
    f.currency,
    f.kind,
    f.application_id,
    cast(count(*) AS bigint) AS fee_count,
    cast(sum(f.amount_minor) AS bigint) AS fees_minor
FROM (
    SELECT
        cast(date_trunc('month', m.book_day) AS date) AS book_month,
        p.corridor,
        p.currency,
        p.type AS kind,
        p.application_id,
        p.amount_minor
    FROM balance_transaction_fee AS p
    INNER JOIN balance_movement AS m
        ON m.corridor = p.corridor AND m.balance_transaction_id = p.balance_transaction_id
    UNION ALL
    SELECT
        cast(date_trunc('month', b.book_day) AS date) AS book_month,
        b.corridor,
        b.currency,
        b.category AS kind,
        '' AS application_id,
        -b.moved_minor AS amount_minor
    FROM balance_movement AS b
    WHERE b.kind = 'fee'
) AS f
GROUP BY f.book_month, f.corridor, f.currency, f.kind, f.application_id;

-- Payments of a month that were captured: what refunds and disputes of them are compared with.
CREATE OR REPLACE VIEW payment_cohort AS
SELECT
    p.cohort_month,
    p.corridor,
    p.currency,
    cast(count(*) AS bigint) AS captured_count,
    cast(sum(p.amount_captured_minor) AS bigint) AS captured_minor
FROM (
    SELECT
        c.corridor,
        c.currency,
        c.amount_captured_minor,
        cast(date_trunc('month', c.create_time AT TIME ZONE 'UTC') AS date) AS cohort_month
    FROM payment AS c
    WHERE c.amount_captured_minor > 0
) AS p
GROUP BY p.cohort_month, p.corridor, p.currency;

-- Refunds by the month of their payment, and how many months later they were made.
CREATE OR REPLACE VIEW refund_cohort AS
SELECT
    r.cohort_month,
    r.corridor,
    r.currency,
    cast(
        12 * (extract(YEAR FROM r.month) - extract(YEAR FROM r.cohort_month))
        + extract(MONTH FROM r.month) - extract(MONTH FROM r.cohort_month)
        AS bigint
    ) AS months_after,
    cast(count(*) AS bigint) AS refund_count,
    cast(sum(r.amount_minor) AS bigint) AS refunded_minor
FROM (
    SELECT
        p.corridor,
        e.currency,
        e.amount_minor,
        cast(date_trunc('month', p.create_time AT TIME ZONE 'UTC') AS date) AS cohort_month,
        cast(date_trunc('month', e.create_time AT TIME ZONE 'UTC') AS date) AS month
    FROM refund AS e
    INNER JOIN payment AS p ON p.payment_id = e.payment_id
    WHERE e.state = 'SUCCEEDED'
) AS r
GROUP BY r.cohort_month, r.corridor, r.currency, r.month;

-- Disputes by the month of their payment, and how many months later they were opened. Inquiries moved no money.
CREATE OR REPLACE VIEW dispute_cohort AS
SELECT
    d.cohort_month,
    d.corridor,
    d.currency,
    cast(
        12 * (extract(YEAR FROM d.month) - extract(YEAR FROM d.cohort_month))
        + extract(MONTH FROM d.month) - extract(MONTH FROM d.cohort_month)
        AS bigint
    ) AS months_after,
    cast(count(*) AS bigint) AS dispute_count,
    cast(sum(d.amount_minor) AS bigint) AS disputed_minor,
    cast(sum(CASE d.state WHEN 'WON' THEN d.amount_minor ELSE 0 END) AS bigint) AS won_minor,
    cast(sum(CASE d.state WHEN 'LOST' THEN d.amount_minor ELSE 0 END) AS bigint) AS lost_minor
FROM (
    SELECT
        p.corridor,
        e.currency,
        e.amount_minor,
        e.state,
        cast(date_trunc('month', p.create_time AT TIME ZONE 'UTC') AS date) AS cohort_month,
        cast(date_trunc('month', coalesce(e.effective_time, e.create_time) AT TIME ZONE 'UTC') AS date) AS month
    FROM dispute AS e
    INNER JOIN payment AS p ON p.payment_id = e.payment_id
    WHERE e.state NOT LIKE 'WARNING%'
) AS d
GROUP BY d.cohort_month, d.corridor, d.currency, d.month;

-- From what was charged to what is at the bank, payout by payout of the platform. Content is known of automatic
-- payouts, and empty of others; what the bank has of a payout is what is matched in the leg
-- BANKED, with lines of its statements and with adjustments.
CREATE OR REPLACE VIEW payout_bridge AS
SELECT
    p.payout_id,
    p.stripe_payout_id,
    p.corridor,
    p.currency,
    p.state,
    cast(p.arrival_time AT TIME ZONE 'UTC' AS date) AS arrival_day,
    c.charged_minor,
    c.fees_minor,
    c.refunded_minor,
    c.disputed_minor,
    c.other_minor,
    c.content_minor,
    p.amount_minor AS payout_minor,
    p.amount_minor - c.content_minor AS unexplained_minor,
    coalesce(b.bank_minor, 0) AS bank_minor
FROM payout AS p
LEFT JOIN (
    SELECT
        m.corridor,
        m.stripe_payout_id,
        m.currency,
        cast(sum(CASE m.kind WHEN 'charge' THEN m.moved_minor ELSE 0 END) AS bigint) AS charged_minor,
        cast(sum(CASE m.kind WHEN 'fee' THEN m.moved_minor ELSE 0 END - m.fee_minor) AS bigint) AS fees_minor,
        cast(sum(CASE m.kind WHEN 'refund' THEN m.moved_minor ELSE 0 END) AS bigint) AS refunded_minor,
        cast(sum(CASE m.kind WHEN 'dispute' THEN m.moved_minor ELSE 0 END) AS bigint) AS disputed_minor,
        cast(sum(CASE m.kind WHEN 'other' THEN m.moved_minor ELSE 0 END) AS bigint) AS other_minor,
        cast(sum(m.net_minor) AS bigint) AS content_minor
    FROM balance_movement AS m
    WHERE m.kind <> 'payout' AND m.stripe_payout_id IS NOT NULL
    GROUP BY m.corridor, m.stripe_payout_id, m.currency
) AS c
    ON c.corridor = p.corridor AND c.stripe_payout_id = p.stripe_payout_id AND c.currency = p.currency
LEFT JOIN (
    SELECT
        a.corridor,
        a.key,
        a.currency,
        cast(sum(a.amount_minor) AS bigint) AS bank_minor
    FROM match_allocation AS a
    WHERE a.leg = 'BANKED' AND a.source = 'PAYOUT' AND a.revoke_time IS NULL
    GROUP BY a.corridor, a.key, a.currency
) AS b
    ON b.corridor = p.corridor AND b.key = p.stripe_payout_id AND b.currency = p.currency
WHERE p.connected_account_id IS NULL AND p.stripe_payout_id IS NOT NULL;

-- Monthly recurring revenue: what of the subscriptions that were running at a month's end is a month's. A subscription
-- is as it was last known to be by then, or, if it was not known yet, as it was known first. Trials, paused collection
-- and what has no fixed price do not count; discounts and taxes are not taken off.
CREATE OR REPLACE VIEW mrr AS
SELECT
    r.book_month,
    r.corridor,
    r.currency,
    cast(count(DISTINCT r.subscription_id) AS bigint) AS subscription_count,
    cast(sum(i.monthly_minor) AS bigint) AS mrr_minor
FROM (
    SELECT
        m.book_month,
        m.until_time,
        v.corridor,
        v.subscription_id,
        v.epoch,
        v.sequence,
        v.currency,
        v.status,
        v.pause_behavior,
        v.trial_end_time,
        v.end_time,
        -- Versions that were known by then are below zero, the last of them lowest.
        row_number() OVER (
            PARTITION BY m.book_month, v.corridor, v.subscription_id
            ORDER BY CASE WHEN v.record_time < m.until_time THEN -v.version_number ELSE v.version_number END
        ) AS place
    FROM billing_month AS m
    INNER JOIN (
        SELECT
            h.corridor,
            h.subscription_id,
            h.epoch,
            h.sequence,
            h.currency,
            h.status,
            h.pause_behavior,
            h.start_time,
            h.trial_end_time,
            h.end_time,
            h.record_time,
            row_number() OVER (
                PARTITION BY h.corridor, h.subscription_id ORDER BY h.epoch, h.sequence
            ) AS version_number
        FROM subscription_history AS h
    ) AS v
        ON v.start_time < m.until_time
) AS r
INNER JOIN subscription_item_history AS i
    ON
        i.corridor = r.corridor
        AND i.subscription_id = r.subscription_id
        AND i.epoch = r.epoch
        AND i.sequence = r.sequence
WHERE
    r.place = 1
    AND i.monthly_minor IS NOT NULL
    AND r.pause_behavior IS NULL
    AND r.status IN ('active', 'past_due', 'canceled')
    AND (r.status <> 'canceled' OR r.end_time IS NOT NULL)
    AND (r.end_time IS NULL OR r.end_time >= r.until_time)
    AND (r.trial_end_time IS NULL OR r.trial_end_time < r.until_time)
GROUP BY r.book_month, r.corridor, r.currency;

-- Breaks that have not ended, by how long they have been there.
CREATE OR REPLACE VIEW open_break AS
SELECT
    o.kind,
    o.corridor,
    o.state,
    o.age,
    o.currency,
    cast(count(DISTINCT o.break_id) AS bigint) AS break_count,
    cast(sum(o.amount_minor) AS bigint) AS amount_minor
FROM (
    SELECT
        b.break_id,
        b.kind,
        b.corridor,
        a.currency,
        a.amount_minor,
        CASE
            WHEN now() >= b.overdue_time THEN 'OVERDUE' WHEN now() >= b.due_time THEN 'DUE' ELSE 'EXPECTED'
        END AS state,
        CASE
            WHEN b.since_time > now() - interval '1 day' THEN '0: less than a day'
            WHEN b.since_time > now() - interval '3 days' THEN '1: less than 3 days'
            WHEN b.since_time > now() - interval '7 days' THEN '2: less than a week'
            WHEN b.since_time > now() - interval '30 days' THEN '3: less than 30 days'
            ELSE '4: 30 days and more'
        END AS age
    FROM reconciliation_break AS b
    LEFT JOIN break_amount AS a ON a.break_id = b.break_id
    WHERE NOT b.is_ended
) AS o
GROUP BY o.kind, o.corridor, o.state, o.age, o.currency;

-- What Stripe's balance transactions come to, and what the ledger has on the accounts at Stripe, day by day. A day may
-- differ by what is booked on the day beside it; what is left over at the end is not booked, or not Stripe's.
CREATE OR REPLACE VIEW booked_by_day AS
SELECT
    d.corridor,
    d.currency,
    d.book_day,
    d.stripe_minor,
    d.ledger_minor,
    d.stripe_minor - d.ledger_minor AS difference_minor,
    cast(sum(d.stripe_minor - d.ledger_minor) OVER running AS bigint) AS running_difference_minor
FROM (
    SELECT
        u.corridor,
        u.currency,
        u.book_day,
        cast(sum(u.stripe_minor) AS bigint) AS stripe_minor,
        cast(sum(u.ledger_minor) AS bigint) AS ledger_minor
    FROM (
        SELECT
            m.corridor,
            m.currency,
            m.book_day,
            m.net_minor AS stripe_minor,
            0 AS ledger_minor
        FROM balance_movement AS m
        UNION ALL
        SELECT
            l.corridor,
            l.currency,
            l.book_day,
            0 AS stripe_minor,
            l.debit_minor AS ledger_minor
        FROM ledger_movement AS l
        WHERE l.purpose LIKE 'stripe/%'
    ) AS u
    GROUP BY u.corridor, u.currency, u.book_day
) AS d
WINDOW running AS (PARTITION BY d.corridor, d.currency ORDER BY d.book_day);

-- How far each source is here, and how long ago it was last found to have nothing more. `waited_seconds` is how long
-- the oldest row of the last load had been news before it was here.
CREATE OR REPLACE VIEW warehouse_freshness AS
SELECT
    s.source,
    s.generation,
    s.epoch,
    s.sequence,
    l.load_time,
    cast(extract(EPOCH FROM l.load_time - l.news_time) AS double precision) AS waited_seconds,
    s.complete_time,
    cast(extract(EPOCH FROM now() - s.complete_time) AS double precision) AS behind_seconds
FROM warehouse_source AS s
LEFT JOIN warehouse_load AS l ON l.source = s.source AND l.load_number = s.load_number
WHERE s.source NOT LIKE 'ledger %'
UNION ALL
SELECT
    concat('ledger ', g.ledger) AS source,
    0 AS generation,
    0 AS epoch,
    g.through_sequence AS sequence,
    g.load_time,
    cast(extract(EPOCH FROM g.load_time - g.moment) AS double precision) AS waited_seconds,
    c.complete_time,
    cast(extract(EPOCH FROM now() - c.complete_time) AS double precision) AS behind_seconds
FROM ledger_load AS g
LEFT JOIN warehouse_source AS c ON c.source = concat('ledger ', g.ledger)
WHERE g.through_sequence = (SELECT max(h.through_sequence) FROM ledger_load AS h WHERE h.ledger = g.ledger);
