"""Rotation of authorities as a cluster sees it: asked for and paused by annotations, followed in status.

The CA rotates, by its own schedule and behind its own gates. What is here asks it, once for each request, and
says how far it is.
"""
