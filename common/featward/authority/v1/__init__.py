"""Generated from authority.proto by `make protos`."""
