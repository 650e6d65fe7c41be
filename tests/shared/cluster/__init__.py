"""A whole Kubernetes cluster with real containers, for tests: one node, its own network, no registry.

Everything runs in a box (box.py): namespaces for processes, mounts and network, which end with it and take all
that was in them along. What the kernel keeps outside of namespaces (control groups) and what lies on the disk
is named after the process that the box belongs to, so that the next start finds what a killed one has left.
"""
