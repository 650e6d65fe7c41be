"""Measures featward's sidecar beside Envoy on one machine, in one run."""
