"""Subjects: merchants, owners and customers, and how far their identity is proven."""
