"""Commands on pseudo ground truth: import, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ggn.cli.app import Out, app, out
from ggn.cli.places import require_file, require_folder

pseudo_gt = typer.Typer(no_args_is_help=True, help="Stores of pseudo ground truth.")
FORMATS = ("reference", "coco")
app.add_typer(pseudo_gt, name="pseudo-gt")


@pseudo_gt.command("import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            help="The reference's JSON, COCO results, or a folder with one {image_id}.json per "
            "image."
        ),
    ],
    out_dir: Out = Path("pseudo_gt"),
) -> None:
    """Import pseudo ground truth in the reference's format, or COCO results, into a store."""
    from ggn.pseudo_gt.publish import import_interchange

    require_folder(out_dir)
    count = import_interchange(source, out_dir)
    out.print(f"{out_dir}: {count} images", markup=False, highlight=False)


@pseudo_gt.command()
def export(
    source: Annotated[
        Path,
        typer.Argument(help="Folder of the store; with coco: data/SPLIT/training/ggn.json."),
    ],
    target: Annotated[
        Path, typer.Option("--out", "-o", help="FILE.json, or a folder for one file per image.")
    ],
    category: Annotated[int, typer.Option(help="Category id of all masks (format reference).")] = 1,
    file_format: Annotated[
        str,
        typer.Option(
            "--format",
            help="reference: pseudo masks; coco: annotations and pseudo masks.",
        ),
    ] = "reference",
    class_agnostic: Annotated[
        bool, typer.Option("--class-agnostic", help="One category for everything (format coco).")
    ] = False,
) -> None:
    """Export pseudo ground truth for other programs."""
    if file_format not in FORMATS:
        raise ValueError(f"--format must be one of {', '.join(FORMATS)}, got {file_format!r}")
    if class_agnostic and file_format != "coco":
        raise ValueError("--class-agnostic needs --format coco")
    if file_format == "coco" or target.suffix == ".json":
        require_file(target, "--out")
    else:
        require_folder(target)
    if file_format == "coco":
        from ggn.pseudo_gt.plain_coco import export_coco

        total, pseudo = export_coco(source, target, class_agnostic=class_agnostic)
        message = f"{target}: {total} annotations, {pseudo} of them pseudo masks"
        out.print(message, markup=False, highlight=False)
        return
    from ggn.data.mask_store import MaskStore
    from ggn.pseudo_gt.publish import export_interchange

    opened = MaskStore(source)
    opened.verify()
    export_interchange(opened, target, category)
    out.print(f"{target}: {len(opened)} images", markup=False, highlight=False)
