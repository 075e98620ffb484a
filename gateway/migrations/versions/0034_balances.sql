-- Stripe's balance as each corridor's last sweep found it, beside the sum of its balance transactions.
CREATE TABLE balance_at_stripe (
    corridor text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    part text COLLATE "C" NOT NULL,
    stripe_minor bigint NOT NULL,
    sum_minor bigint NOT NULL,
    -- Sweeps in a row in which the two differed, and when the first of these asked Stripe.
    differing_sweeps integer NOT NULL CHECK ((differing_sweeps = 0) = (stripe_minor = sum_minor)),
    differs_since timestamptz CHECK ((differs_since IS NULL) = (differing_sweeps = 0)),
    sweep_time timestamptz NOT NULL,
    PRIMARY KEY (corridor, currency, part)
);

GRANT SELECT, INSERT, UPDATE ON balance_at_stripe TO gateway_service;
