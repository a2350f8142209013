"""Commands on models of the zoo: convert."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ggn.cli.app import Out, app, err, out

zoo = typer.Typer(no_args_is_help=True, help="Weights of other projects.")
app.add_typer(zoo, name="zoo")


@zoo.command()
def convert(
    config: Annotated[Path, typer.Argument(help="OpenMMLab config, a Python file; it is not run.")],
    weights: Annotated[Path, typer.Argument(help="Its checkpoint: .pth or .safetensors.")],
    out_dir: Out = Path("converted"),
) -> None:
    """Turn an OpenMMLab model into our weights and a split of params.yaml (FOLDER/split.yaml).

    A config states the images of one GPU: the batch is that of 8. Each setting that we don't have
    is listed.
    """
    from ruamel.yaml import YAML

    from ggn.openmmlab import convert_model

    conversion = convert_model(config, weights, out_dir)
    with (out_dir / "split.yaml").open("w", encoding="utf-8") as file:
        YAML().dump({"splits": {config.stem: conversion.split}}, file)
    out.print((out_dir / "split.yaml").read_text(encoding="utf-8"), markup=False, highlight=False)
    for line in conversion.unsupported:
        err.print(f"not supported: {line}", markup=False, highlight=False)
    out.print(f"{out_dir}: {conversion.kind}", markup=False)
