"""What became of payments: counted by merchant and day from what the gateway tells."""
