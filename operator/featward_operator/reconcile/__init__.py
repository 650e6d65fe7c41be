"""What the leader keeps as the manifests say: the status of every object, and what belongs to it.

Each module decides about one kind, by `reconcile(key, known, now)`, and does nothing itself; `part` follows
what changes and has `controllers` carry out what was decided.
"""
