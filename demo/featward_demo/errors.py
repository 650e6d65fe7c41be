"""What can go wrong while the demo is put together.

``DemoError``
    ``InstallError``    Feast could not be installed
    ``ProgramError``    a program that we started ended early or never became ready
    ``PortTakenError``  an address that was asked for is in use
"""


class DemoError(Exception):
    """Base of this package's errors; its text is one sentence that says what to do."""


class InstallError(DemoError):
    """The virtual environment for Feast could not be made or filled."""


class ProgramError(DemoError):
    """A program ended before it was ready, or was not ready in time."""


class PortTakenError(DemoError):
    """A port that the caller asked for is in use by another program."""
