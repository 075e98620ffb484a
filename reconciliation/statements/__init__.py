"""Bank statements: readers that take a file only when its balances prove it."""
