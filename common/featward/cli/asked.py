"""What one request asks for, as the commands that explain requests are told it."""

from typing import Annotated, TypeAlias

import typer

__all__ = ["FeatureSetOption", "FeaturesOption", "RowsOption", "ServiceOption"]

FeatureSetOption: TypeAlias = Annotated[
    str | None, typer.Option(help="The feature set: name, or namespace/name.")
]
FeaturesOption: TypeAlias = Annotated[
    str | None, typer.Option(help="The features asked for, with commas between.")
]
ServiceOption: TypeAlias = Annotated[
    str | None, typer.Option(help="The service asked for, instead of features.")
]
RowsOption: TypeAlias = Annotated[int, typer.Option(min=1, help="Rows asked for.")]
