"""Following what people decide of payments and payouts that compliance leaves to them."""
