"""Generated from protos/reconciliation/v1 by `make protos`."""
