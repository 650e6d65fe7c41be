"""What an app beside the sidecar may ask for over one UNIX socket: its own identity and whom to trust, by the
SPIFFE Workload API or by Envoy's SDS."""
