"""The policy compiler: manifests in, one snapshot per workload out.

The names below are found on first use, so that a process that needs only the snapshot's protobuf types does
not load the models as well.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featward.policy.compiler import Compiled, Compiler, compile  # noqa: A004  # the name says what it does

__all__ = ["Compiled", "Compiler", "compile"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from featward.policy import compiler

    return getattr(compiler, name)
