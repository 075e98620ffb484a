"""What the database says of the gateway's work, as gauges of each worker."""
