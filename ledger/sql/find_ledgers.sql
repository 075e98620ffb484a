-- Ledgers of that name or made by that request_id: at most one of each.
SELECT
    l.ledger_id,
    l.name,
    l.display_name,
    l.metadata,
    l.request_id,
    l.create_time
FROM ledgers AS l
WHERE l.name = %(name)s OR l.request_id = %(request_id)s
