-- The gauge of deliveries that were given up looks at these alone.
CREATE INDEX webhook_delivery_dead ON webhook_delivery (endpoint_id) WHERE state = 'DEAD';
