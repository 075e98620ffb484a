-- Makes a ledger of another shard here, without a head: it is none before that has come, too.
INSERT INTO ledgers (name, display_name, metadata, request_id, create_time)
VALUES (%(name)s, %(display_name)s, %(metadata)s::jsonb, %(request_id)s, %(create_time)s)
ON CONFLICT DO NOTHING
