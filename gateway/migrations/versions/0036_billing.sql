-- Invoices, invoice payments, credit notes and subscriptions as Stripe showed them last; nothing personal is kept.
CREATE TABLE billing_object (
    corridor text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('invoice', 'invoice_payment', 'credit_note', 'subscription')),
    id text COLLATE "C" NOT NULL,
    -- Stripe's id of the customer; empty of an invoice payment.
    customer_id text NOT NULL,
    -- The message of gateway.v1 as JSON, without the corridor, and what it hashes to.
    content jsonb NOT NULL,
    digest text NOT NULL,
    -- When Stripe was asked for what is here. What was asked for earlier is not written over it.
    read_time timestamptz NOT NULL,
    -- The digest that was told last; NULL before the first. It has changed where the two differ.
    told text,
    -- Of its first and of its last change.
    first_sequence bigint,
    sequence bigint,
    PRIMARY KEY (corridor, kind, id)
);

CREATE INDEX billing_untold ON billing_object (read_time, kind, id, corridor) WHERE told IS DISTINCT FROM digest;
CREATE UNIQUE INDEX billing_listed ON billing_object (kind, first_sequence) WHERE first_sequence IS NOT NULL;
CREATE INDEX billing_of_customer ON billing_object (customer_id, kind, first_sequence) WHERE customer_id <> '';

-- How they were with each change. Rows are never changed.
CREATE TABLE billing_change (
    -- Gapless: given after the commit of what changed, by one process at a time.
    sequence bigint PRIMARY KEY,
    corridor text NOT NULL,
    kind text NOT NULL,
    id text COLLATE "C" NOT NULL,
    content jsonb NOT NULL,
    record_time timestamptz NOT NULL
);

-- How far each walk over one of Stripe's lists is.
CREATE TABLE billing_walk (
    corridor text NOT NULL,
    kind text NOT NULL,
    -- The last one of the page before; empty at the beginning of a walk.
    after_id text NOT NULL,
    -- What was made before is not walked over; NULL of the first walk, which sees all.
    since timestamptz,
    -- When the walk is due, or has begun.
    next_time timestamptz NOT NULL,
    finish_time timestamptz,
    PRIMARY KEY (corridor, kind)
);

GRANT SELECT, INSERT, UPDATE ON billing_object, billing_walk TO gateway_service;
GRANT SELECT, INSERT ON billing_change TO gateway_service;
