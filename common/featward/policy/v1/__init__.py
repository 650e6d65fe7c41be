"""Generated from snapshot.proto by `make protos`."""
