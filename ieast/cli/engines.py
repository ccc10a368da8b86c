"""What computes, as people choose it."""

from typing import Annotated

import typer

from ieast.stylization.loading import EngineName

EngineOption = Annotated[
    EngineName,
    typer.Option(help="PyTorch, or ONNX Runtime, which needs less and can do less; auto takes PyTorch where it is."),
]
