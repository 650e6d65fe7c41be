"""SPIFFE federation: our bundle for other trust domains, and theirs for us."""
