"""The issuer: a small certificate authority that gives workloads short-lived SPIFFE identities."""
