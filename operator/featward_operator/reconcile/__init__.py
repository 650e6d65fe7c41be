"""What the leader says of each kind and does about it: pure functions from what is known to a `Result`."""
