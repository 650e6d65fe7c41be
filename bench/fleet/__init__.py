"""The operator with a fleet of pods: memory, admission, and the way of an edit to all sidecars of a set."""
