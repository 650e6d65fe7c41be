"""Generated from workload.proto and secrets.proto by `make protos`."""
