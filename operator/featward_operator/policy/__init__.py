"""PolicyService: each sidecar gets the snapshot of its workload, and says what became of it."""
