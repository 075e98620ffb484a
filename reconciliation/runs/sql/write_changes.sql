-- Adds matches and differences with all their items.
WITH matches AS (
    INSERT INTO item_match (match_id, leg, rule, change_number, client, note)
    SELECT
        n.match_id,
        n.leg,
        n.rule,
        %(change_number)s,
        n.client,
        n.note
    FROM jsonb_to_recordset(%(matches)s::jsonb) AS n (match_id bigint, leg text, rule text, client text, note text)
),

differences AS (
    INSERT INTO difference (
        difference_id, leg, kind, corridor, amounts, since, due, overdue, sentence, proposal, change_number
    )
    SELECT
        n.difference_id,
        n.leg,
        n.kind,
        n.corridor,
        n.amounts,
        n.since,
        n.due,
        n.overdue,
        n.sentence,
        n.proposal,
        %(change_number)s
    FROM jsonb_to_recordset(%(differences)s::jsonb) AS n (
        difference_id bigint,
        leg text,
        kind text,
        corridor text,
        amounts jsonb,
        since timestamptz,
        due timestamptz,
        overdue timestamptz,
        sentence text,
        proposal bigint []
    )
)

INSERT INTO standing (leg, item_id, generation, match_id, difference_id, is_ignored, amount_minor)
SELECT
    n.leg,
    n.item_id,
    n.generation,
    n.match_id,
    n.difference_id,
    n.is_ignored,
    n.amount_minor
FROM jsonb_to_recordset(%(standings)s::jsonb) AS n (
    leg text,
    item_id bigint,
    generation integer,
    match_id bigint,
    difference_id bigint,
    is_ignored boolean,
    amount_minor bigint
)
