"""Generated from protos/compliance/v1 by `make protos`."""
