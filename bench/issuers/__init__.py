"""The bench of the CA: what it costs to issue, beside step-ca, and how a restart is lived through."""
