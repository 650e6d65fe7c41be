"""What the sidecar's socket speaks to applications: the SPIFFE Workload API and Envoy's SDS."""
