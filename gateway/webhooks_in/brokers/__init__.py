"""Message brokers that keep events in front of the inbox, one module each.

A process imports the client of the one that it is set to use; see `gateway.webhooks_in.opening`.
"""
