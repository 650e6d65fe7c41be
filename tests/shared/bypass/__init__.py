"""Runs the bypass corpus of tests/vectors/bypass: what an entry says, its bytes, and who saw what.

A package of its own because two programs need it: the end-to-end test, and ``python -m bypass``,
which measures what a Feast server does alone.
"""
