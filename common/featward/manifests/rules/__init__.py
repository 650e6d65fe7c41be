"""What documents must be to one another. Each rule looks at the catalogue and yields findings, in any order."""
