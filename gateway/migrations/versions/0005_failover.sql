-- Where else a payment may be charged, and where it was not. Missing lists are empty ones.
ALTER TABLE payment
ADD COLUMN billing_country text NOT NULL DEFAULT '',
ADD COLUMN stays boolean NOT NULL DEFAULT FALSE,
ADD COLUMN routes jsonb,
ADD COLUMN left_corridors jsonb;
