-- Stripe's class of a refusal ("invalid_request_error"), and the id of the request that it refused.
ALTER TABLE operation ADD COLUMN failure_type text NOT NULL DEFAULT '';
ALTER TABLE operation ADD COLUMN failure_request_id text NOT NULL DEFAULT '';
