"""The process boundary every service shares; no word of any service's domain is in it."""
