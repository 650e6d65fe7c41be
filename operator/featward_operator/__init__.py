"""The Kubernetes operator. It comes with a later version."""
