"""How large an answer over gRPC may be; how large a request may be says runtime.admission."""

# The answer to the largest batch of the ledger fits: it repeats the texts and adds the balances.
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
