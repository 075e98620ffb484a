"""The ledger's books as rows of a warehouse, each load of which proves equal to the ledger."""
