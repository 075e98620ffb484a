"""Generated from protos/money/v1 by `make protos`."""
