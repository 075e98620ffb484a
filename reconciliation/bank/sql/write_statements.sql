-- Adds the statements of a file, numbered from the one that is given on; the caller holds the lock of statements.
INSERT INTO bank_statement (
    statement_id, file_id, position, bank_account, corridor, currency, kind, version, bank_statement_id, number, page,
    opening_minor, opening_date, closing_minor, closing_date, first_day, last_day, line_count, note, continuity,
    other_statement_id, continuity_reason, record_time
)
SELECT
    %(first_id)s + n.position - 1,
    %(file_id)s,
    n.position,
    %(account)s,
    %(corridor)s,
    n.currency,
    n.kind,
    n.version,
    n.bank_statement_id,
    n.number,
    n.page,
    n.opening_minor,
    n.opening_date,
    n.closing_minor,
    n.closing_date,
    n.first_day,
    n.last_day,
    n.line_count,
    n.note,
    n.continuity,
    nullif(n.other, 0),
    n.why,
    %(now)s
FROM jsonb_to_recordset(%(statements)s::jsonb) AS n (
    position integer,
    currency text,
    kind text,
    version text,
    bank_statement_id text,
    number integer,
    page integer,
    opening_minor bigint,
    opening_date date,
    closing_minor bigint,
    closing_date date,
    first_day date,
    last_day date,
    line_count integer,
    note text,
    continuity text,
    other bigint,
    why text
)
ORDER BY n.position
