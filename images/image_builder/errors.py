"""What stops a build."""

__all__ = ["BuildError"]


class BuildError(Exception):
    """The image can't be built; the message says what was wrong and what to do."""
