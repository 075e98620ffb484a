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
