"""The `featward` command: its root and the subcommands that need no other part than the manifests."""

from featward.cli.root import main

__all__ = ["main"]
