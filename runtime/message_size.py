"""How large a gRPC message may be, for servers and clients alike."""

# A batch of 8,000 ledger transactions with metadata fits; anything larger is a mistake.
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
