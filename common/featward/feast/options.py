"""Which options of ``featward import feast`` say which members of a FeatureSet.

By it the command tells what had no effect, because the FeatureSet says it already, and names the option, not a
path in a document that nobody has seen yet, where a value is wrong.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

__all__ = ["kept", "says", "setting"]

# Each option's place in the document. What the first two steps name is kept whole once it is there.
_PLACES = {
    "name": "metadata.name",
    "namespace": "metadata.namespace",
    "version": "spec.version",
    "team": "spec.owner.team",
    "contact": "spec.owner.contact",
    "workload": "spec.serving.workload.name",
    "service_account": "spec.serving.workload.serviceAccount",
    "address": "spec.serving.address",
    "host": "spec.serving.endpoints[0].host",
    "port": "spec.serving.endpoints[0].port",
    "mode": "spec.enforcement.mode",
    "unidentified_until": "spec.enforcement.unidentified.until",
}


def kept(
    context: typer.Context, before: Mapping[str, Any] | None, into: Path | None
) -> Iterator[str]:
    """What was asked for and is not done, because the FeatureSet of this name says it already."""
    unused = [
        option
        for place, option in setting(context).items()
        if place.startswith("spec.") and says(before, place.split(".")[1])
    ]
    if unused:
        yield (
            f"the FeatureSet of this name says it already, and that is kept: {', '.join(unused)} "
            "had no effect; change it there"
        )
    if into is not None and into.is_file() and "#" in into.read_text():
        yield f"comments in {into} are not kept"


def setting(context: typer.Context) -> dict[str, str]:
    """The options of this command line, such as --mode, by the place that they set."""
    return {
        place: "--" + option.replace("_", "-")
        for option, place in _PLACES.items()
        if _is_given(context, option)
    }


def says(before: Mapping[str, Any] | None, member: str) -> bool:
    """Whether the FeatureSet that was there before has this member of its spec."""
    return member in (before or {}).get("spec", {})


def _is_given(context: typer.Context, option: str) -> bool:
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"
