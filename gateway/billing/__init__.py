"""Invoices, what pays them, credit notes and subscriptions of Stripe Billing, as read there."""
