"""Routing that learns, in the running gateway: who asks `gateway.routing`, what is kept of its
decisions, who learns from them, and what operators see and allow. docs/routing.md."""
