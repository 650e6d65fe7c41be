"""The policy compiler: manifests in, one snapshot per workload out."""
