"""Generated from protos/gateway/v1 by `make protos`."""
