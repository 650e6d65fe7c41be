"""The Kubernetes operator: what makes a cluster's feature servers protected, and keeps them so."""
