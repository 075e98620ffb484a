"""Liquidity: where the money is, at Stripe, on its way, at the bank."""
