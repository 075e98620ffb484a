"""Customers and their saved payment methods, one Stripe customer per subject and corridor."""
