"""What belongs together and what is missing: rules over items, without a database or a clock."""
