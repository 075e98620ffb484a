"""Verifications of subjects by Stripe Identity: asked for through the gateway, kept as evidence."""
