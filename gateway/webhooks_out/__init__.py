"""Outgoing webhooks: changes of payments, posted to clients' endpoints and signed."""
