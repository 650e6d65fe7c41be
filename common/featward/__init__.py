"""What every part of featward shares: identities, manifests, the policy compiler and the command line."""
