"""Workload identities, and the protocol by which a workload gets one."""
