-- What Radar and the network made of the charge; Stripe's name of the card number behind it, for
-- counting alone; and what was asked for of 3-D Secure, with the rule that says so. A second try finds
-- the columns there: the indexes are made outside the transaction.
ALTER TABLE payment
    ADD COLUMN IF NOT EXISTS radar_outcome jsonb,
    ADD COLUMN IF NOT EXISTS card_fingerprint text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS three_d_secure jsonb;
