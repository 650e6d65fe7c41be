"""What a program of ours needs to be a client of a CA and of other parts, over the engine's mTLS.

Needs grpc and the engine, and so is not for the sidecar, which has a smaller client of its own.
"""
