"""What a CA has in a cluster: its manifests, the bundle that it publishes, and its key-encryption key.

Needs the extra `kubernetes`, but for `names`, `objects` and `waiting`; so the rest is imported only where one
of those is asked for. Whose a token or a namespace is, is asked in `attest`, by aiohttp alone.
"""
