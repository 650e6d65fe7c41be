"""Generated from identity.proto by `make protos`."""
