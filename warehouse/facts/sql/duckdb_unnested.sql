-- Lists within rows as rows of their own. Whole numbers are text in JSON, so none is rounded.
CREATE OR REPLACE VIEW balance_transaction_fee AS
SELECT
    f.corridor,
    f.balance_transaction_id,
    f.fee.type,
    f.fee.application_id,
    f.fee.currency,
    cast(f.fee.amount_minor AS bigint) AS amount_minor
FROM (
    SELECT
        t.corridor,
        t.balance_transaction_id,
        unnest(
            from_json(
                t.fee_details,
                '[{"type": "VARCHAR", "application_id": "VARCHAR", "currency": "VARCHAR", "amount_minor": "VARCHAR"}]'
            )
        ) AS fee
    FROM balance_transaction AS t
) AS f;

CREATE OR REPLACE VIEW break_amount AS
SELECT
    a.break_id,
    a.amount.currency,
    cast(a.amount.amount_minor AS bigint) AS amount_minor
FROM (
    SELECT
        b.break_id,
        unnest(from_json(b.amounts, '[{"currency": "VARCHAR", "amount_minor": "VARCHAR"}]')) AS amount
    FROM reconciliation_break AS b
) AS a;

CREATE OR REPLACE VIEW break_item AS
SELECT
    i.break_id,
    i.item.source,
    i.item.corridor,
    i.item.key
FROM (
    SELECT
        b.break_id,
        unnest(from_json(b.items, '[{"source": "VARCHAR", "corridor": "VARCHAR", "key": "VARCHAR"}]')) AS item
    FROM reconciliation_break AS b
) AS i;

CREATE OR REPLACE VIEW match_allocation AS
SELECT
    a.match_id,
    a.leg,
    a.revoke_time,
    a.item.source,
    a.item.corridor,
    a.item.key,
    a.item.currency,
    cast(a.item.amount_minor AS bigint) AS amount_minor
FROM (
    SELECT
        m.match_id,
        m.leg,
        m.revoke_time,
        unnest(
            from_json(
                m.allocations,
                '[{
                    "source": "VARCHAR", "corridor": "VARCHAR", "key": "VARCHAR", "currency": "VARCHAR",
                    "amount_minor": "VARCHAR"
                }]'
            )
        ) AS item
    FROM reconciliation_match AS m
) AS a;

CREATE OR REPLACE VIEW decision_reason AS
SELECT
    r.sequence,
    r.decision_id,
    r.reason.code,
    r.reason.verdict,
    r.reason.approved
FROM (
    SELECT
        d.sequence,
        d.decision_id,
        unnest(from_json(d.reasons, '[{"code": "VARCHAR", "verdict": "VARCHAR", "approved": "BOOLEAN"}]')) AS reason
    FROM decision AS d
) AS r;

-- Items of each version of a subscription, with what of them is a month's: a year is 12 months, a week 12/52 of a month
-- and a day 12/365, rounded once, half a minor unit up.
CREATE OR REPLACE VIEW subscription_item_history AS
SELECT
    n.corridor,
    n.subscription_id,
    n.epoch,
    n.sequence,
    n.item.id AS item_id,
    n.item.price_id,
    n.item.product_id,
    n.item.period_unit,
    n.period_count,
    cast(n.item.quantity AS bigint) AS quantity,
    n.item.usage_type,
    n.currency,
    n.amount_minor,
    cast(
        CASE n.item.period_unit
            WHEN 'month' THEN (2 * n.amount_minor + n.period_count) // (2 * n.period_count)
            WHEN 'year' THEN (2 * n.amount_minor + 12 * n.period_count) // (24 * n.period_count)
            WHEN 'week' THEN (26 * n.amount_minor + 3 * n.period_count) // (6 * n.period_count)
            WHEN 'day' THEN (730 * n.amount_minor + 12 * n.period_count) // (24 * n.period_count)
        END AS bigint
    ) AS monthly_minor
FROM (
    SELECT
        u.corridor,
        u.subscription_id,
        u.epoch,
        u.sequence,
        u.currency,
        u.item,
        cast(u.item.period_count AS bigint) AS period_count,
        cast(u.item.amount_minor AS bigint) AS amount_minor
    FROM (
        SELECT
            h.corridor,
            h.subscription_id,
            h.epoch,
            h.sequence,
            h.currency,
            unnest(
                from_json(
                    h.items,
                    '[{
                        "id": "VARCHAR", "price_id": "VARCHAR", "product_id": "VARCHAR", "period_unit": "VARCHAR",
                        "period_count": "VARCHAR", "quantity": "VARCHAR", "usage_type": "VARCHAR",
                        "amount_minor": "VARCHAR"
                    }]'
                )
            ) AS item
        FROM subscription_history AS h
    ) AS u
) AS n;

-- Months of UTC from the first subscription to this one, which has lasted until now.
CREATE OR REPLACE VIEW billing_month AS
SELECT
    cast(m.begin_time AS date) AS book_month,
    least((m.begin_time + interval '1 month') AT TIME ZONE 'UTC', now()) AS until_time
FROM (
    SELECT
        unnest(
            generate_series(
                date_trunc('month', s.first_time AT TIME ZONE 'UTC'),
                date_trunc('month', now() AT TIME ZONE 'UTC'),
                interval '1 month'
            )
        ) AS begin_time
    FROM (SELECT min(start_time) AS first_time FROM subscription) AS s
) AS m;
