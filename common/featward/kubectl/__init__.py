"""`kubectl featward`: what people ask of a protected cluster and do in it, with their own rights.

It speaks to the API server alone. What needs an operator or a CA is asked for by writing objects, so that roles
and the audit log of the cluster decide and tell who did what.
"""

from featward.kubectl.command import main

__all__ = ["main"]
