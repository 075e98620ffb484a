-- What was told of an incident last: the change, what was foreseen in its minute, how the corridor was treated and
-- how far operators allow it. NULL where a release before has written it.
ALTER TABLE foresight_alarm ADD COLUMN telling jsonb;

-- A change is written with the incident, and has no sequence until it is numbered after the commit.
ALTER TABLE foresight_change DROP CONSTRAINT foresight_change_pkey;
ALTER TABLE foresight_change ALTER COLUMN sequence DROP NOT NULL;
ALTER TABLE foresight_change ADD COLUMN change_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
ALTER TABLE foresight_change ADD COLUMN telling jsonb;
CREATE UNIQUE INDEX foresight_change_sequence ON foresight_change (sequence);
CREATE INDEX foresight_change_unnumbered ON foresight_change (change_number) WHERE sequence IS NULL;
GRANT UPDATE (sequence, record_time) ON foresight_change TO gateway_service;

-- Which feed an endpoint is of. For code from before this, which would send changes of payments to them, endpoints
-- of other feeds are deleted: how they stand is in `feed_state`, and their `state` stays 'DELETED'.
ALTER TABLE webhook_endpoint ADD COLUMN feed text NOT NULL DEFAULT 'PAYMENTS'
CHECK (feed IN ('PAYMENTS', 'INCIDENTS'));
ALTER TABLE webhook_endpoint ADD COLUMN feed_state text CHECK (feed_state IN ('ENABLED', 'DISABLED', 'DELETED'));
ALTER TABLE webhook_endpoint DROP CONSTRAINT webhook_endpoint_check;
ALTER TABLE webhook_endpoint
ADD CONSTRAINT webhook_endpoint_disabled CHECK ((coalesce(feed_state, state) = 'DISABLED') = (disable_cause <> '')),
ADD CONSTRAINT webhook_endpoint_feed CHECK ((feed = 'PAYMENTS') = (feed_state IS NULL)),
ADD CONSTRAINT webhook_endpoint_hidden CHECK (feed = 'PAYMENTS' OR state = 'DELETED'),
-- Incidents are no merchant's.
ADD CONSTRAINT webhook_endpoint_merchant CHECK (feed = 'PAYMENTS' OR merchant_id = '');
