"""Commands on pseudo ground truth: import, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ggn.cli.app import Out, app, out

pseudo_gt = typer.Typer(no_args_is_help=True, help="Stores of pseudo ground truth.")
app.add_typer(pseudo_gt, name="pseudo-gt")


@pseudo_gt.command("import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            help="Interchange JSON, COCO results, or a folder with a {image_id}.json per image."
        ),
    ],
    out_dir: Out = Path("pseudo_gt"),
) -> None:
    """Turn pseudo ground truth in the reference's format, or COCO results, into a store."""
    from ggn.pseudo_gt.publish import import_interchange

    count = import_interchange(source, out_dir)
    out.print(f"{out_dir}: {count} images", markup=False, highlight=False)


@pseudo_gt.command()
def export(
    store: Annotated[Path, typer.Argument(help="Folder of the store.")],
    target: Annotated[
        Path, typer.Option("--out", "-o", help="FILE.json, or a folder for a file per image.")
    ],
    category: Annotated[int, typer.Option(help="Category id of all masks.")] = 1,
) -> None:
    """Check a store and write it in the reference's format."""
    from ggn.data.mask_store import MaskStore
    from ggn.pseudo_gt.publish import export_interchange

    opened = MaskStore(store)
    opened.verify()
    export_interchange(opened, target, category)
    out.print(f"{target}: {len(opened)} images", markup=False, highlight=False)
