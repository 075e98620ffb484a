-- Network, funding and country of the card behind the charge, as Stripe tells them: what routing and
-- rules may know of the next payment with it. Nothing of it names a card.
ALTER TABLE payment ADD COLUMN card jsonb;
