"""Outgoing webhooks: changes of payments and incidents, posted to endpoints and signed."""
