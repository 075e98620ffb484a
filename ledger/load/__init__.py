"""Import into a ledger: the command, and the forms of input it reads."""
