"""Where items come from: the ledger's log and the gateway's feed."""
