-- A ledger with accounts, as its requests would make them.
INSERT INTO ledgers (name, display_name, metadata, request_id, create_time)
VALUES ('bench', '', '{}', 'bench', now() - interval '1 year');

INSERT INTO ledger_heads (ledger_id, revision, last_sequence, last_account_number)
SELECT 1, 0, 0, %(accounts)s;

INSERT INTO accounts (
    ledger_id, account_number, name, currency_code, normal_balance, create_time
)
SELECT 1, n, 'merchants/m_' || lpad((n - 1)::text, 6, '0') || '/payable', 'EUR', 1, l.create_time
FROM generate_series(1, %(accounts)s) AS n
CROSS JOIN ledgers AS l;

-- The accounts' totals so far. A row is added for each chunk that touches them.
CREATE UNLOGGED TABLE history_totals (
    account_number integer PRIMARY KEY,
    posted_debits bigint NOT NULL,
    posted_credits bigint NOT NULL,
    pending_debits bigint NOT NULL,
    pending_credits bigint NOT NULL,
    version bigint NOT NULL
) WITH (fillfactor = 50);

INSERT INTO history_totals SELECT n, 0, 0, 0, 0, 0 FROM generate_series(1, %(accounts)s) AS n;

-- A leg as the input message has it: EntryInput with an amount of two bytes, of EUR.
CREATE FUNCTION history_leg(name text, direction integer, amount bigint) RETURNS bytea
LANGUAGE sql IMMUTABLE
AS $$
    SELECT '\x0a280a1a'::bytea || name::bytea || '\x10'::bytea
        || set_byte('\x00', 0, direction) || '\x1a080a0345555210'::bytea
        || set_byte(set_byte('\x0000', 0, (amount & 127)::integer | 128), 1, (amount >> 7)::integer)
$$;

CREATE FUNCTION history_time(moment timestamptz) RETURNS text
LANGUAGE sql STABLE
AS $$ SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$
