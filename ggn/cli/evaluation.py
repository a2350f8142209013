"""Commands on results of any detector: evaluate, compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.progress import track

from ggn.cli.app import Out, app, err, out
from ggn.core.census import CROWD_SHARE
from ggn.core.coco import read_json, write_json
from ggn.core.spelling import respell
from ggn.evaluation.params import IouType, ProtocolName

if TYPE_CHECKING:
    from ggn.core.faults import Mends
    from ggn.evaluation.evaluator import ComparedImage, PartitionResult
    from ggn.evaluation.inputs import EvaluationInputs

Truth = Annotated[Path, typer.Argument(help="COCO-style JSON with the objects of all categories.")]
Unseen = Annotated[
    str | None,
    typer.Option(
        help="The unseen categories: a partition (nonvoc, nonperson, …), or names and ids "
        "separated by commas (id:3 and name:3 are unambiguous). The others are seen. By default "
        "all categories are evaluated together."
    ),
]
ProtocolOption = Annotated[
    str, typer.Option(help=f"How to count: {', '.join(get_args(ProtocolName))}.")
]
Overlap = Annotated[
    str | None,
    typer.Option("--iou-type", help="segm or bbox; by default segm if there are masks."),
]
Strict = Annotated[
    bool,
    typer.Option(
        help="Refuse objects and predictions that are otherwise mended in reading, and objects "
        "whose box, area and mask contradict each other."
    ),
]
BUDGET = 100
_LISTED = 5  # contradictions shown


@app.command()
def evaluate(
    annotations: Truth,
    predictions: Annotated[
        Path, typer.Argument(help="COCO results JSON of any detector, or a store.")
    ],
    unseen: Unseen = None,
    protocol: ProtocolOption = "budget",
    iou_type: Overlap = None,
    per_category: Annotated[bool, typer.Option(help="Also print the recall per category.")] = False,
    interval: Annotated[
        bool, typer.Option(help="Also give a 95 % bootstrap interval of each recall.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write all numbers to this file.")] = None,
    curve: Annotated[
        Path | None, typer.Option(help="Write the curve of recall against proposals to this PNG.")
    ] = None,
    strict: Strict = False,
) -> None:
    """Measure recall and precision of any detector's results on seen and unseen categories."""
    from ggn.cli.places import require_file
    from ggn.evaluation.curves import write_curves
    from ggn.evaluation.intervals import HOW, of_results
    from ggn.evaluation.report import category_table, metrics_table, recall_curve

    if json:
        require_file(json, "--json")
    if curve:
        require_file(curve, "--curve", ".png")
    inputs, results, kind = _evaluated(
        annotations, predictions, unseen, protocol, iou_type, strict=strict
    )
    title = f"{kind}, protocol {protocol}"
    metrics = {name: result.metrics for name, result in results.items()}
    curves = {name: recall_curve(values) for name, values in metrics.items()}
    recall = _recall_by_category(inputs, results)
    intervals = of_results(results) if interval else {}
    out.print(metrics_table(metrics, title, intervals=intervals))
    if per_category:
        out.print(category_table(recall, BUDGET, title))
    if json:
        write_json(
            json,
            {
                "protocol": protocol,
                "iou_type": _iou_type_of(kind),
                "unseen": unseen,
                "metrics": metrics,
                "recall_curves": curves,
                f"category_AR_{BUDGET}": recall,
                **({"intervals": {**HOW, "metrics": intervals}} if interval else {}),
            },
            indent=1,
        )
    if curve:
        write_curves(curve, {f"{name} ({protocol})": c for name, c in curves.items()}, title)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="COCO results JSON or store of model A.")],
    second: Annotated[Path, typer.Argument(help="COCO results JSON or store of model B.")],
    annotations: Annotated[
        Path, typer.Option(help="COCO-style JSON with the objects of all categories.")
    ],
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images; without it nothing is drawn.")
    ] = None,
    unseen: Unseen = None,
    protocol: ProtocolOption = "budget",
    iou_type: Overlap = None,
    top: Annotated[int, typer.Option(min=1, help="How many images the picture shows.")] = 6,
    out_dir: Out = Path("comparison"),
    strict: Strict = False,
) -> None:
    """Compare the results of two models, and show the unseen objects that only one finds."""
    from ggn.cli.places import require_folder
    from ggn.evaluation.curves import write_curves
    from ggn.evaluation.disagreement import disagreement
    from ggn.evaluation.intervals import HOW, of_pair
    from ggn.evaluation.pictures import write_gallery
    from ggn.evaluation.report import comparison_rows, comparison_table, reached, recall_curve

    names = _names(first, second)
    require_folder(out_dir)
    if images and not images.is_dir():
        raise ValueError(f"--images {images}: no such folder")
    evaluated = [
        _evaluated(annotations, path, unseen, protocol, iou_type, strict=strict, warn=path == first)
        for path in (first, second)
    ]
    (inputs, _, kind), kinds = evaluated[0], {kind for _, _, kind in evaluated}
    if len(kinds) > 1:
        raise ValueError(
            f"only one of {first} and {second} has masks; choose --iou-type segm or bbox"
        )
    title = f"{kind}, protocol {protocol}"
    part = "unseen" if unseen else "all"
    metrics = {n: r for n, (_, r, _) in zip(names, evaluated, strict=True)}
    of_first, of_second = (result[part].objects for result in metrics.values())
    outcome = disagreement(of_first, of_second, BUDGET)
    shown = {name: result[part].metrics for name, result in metrics.items()}
    curves = {name: recall_curve(values) for name, values in shown.items()}
    counts = {
        key.replace("first", names[0]).replace("second", names[1]): count
        for key, count in outcome.counts().items()
    }
    of_models, of_difference = of_pair(metrics)
    chosen = reached(shown[names[0]], *shown.values())
    first_shown, second_shown = shown.values()
    rows = comparison_rows(first_shown, second_shown, chosen, of_difference[part])
    out.print(comparison_table(rows, f"{part}: {title}", models=(names[0], names[1])))
    out.print(
        f"{part} objects found at IoU 0.5 by the first {BUDGET} detections ({title}): "
        + ", ".join(f"{key.replace('_', ' ')} {count}" for key, count in counts.items()),
        markup=False,
    )
    write_json(
        out_dir / "comparison.json",
        {
            "protocol": protocol,
            "iou_type": _iou_type_of(kind),
            "unseen": unseen,
            "metrics": {
                name: {p: r.metrics for p, r in result.items()} for name, result in metrics.items()
            },
            "recall_curves": curves,
            "intervals": {**HOW, "metrics": of_models, "difference": of_difference},
            f"{part}_objects_found_at_{BUDGET}": counts,
        },
        indent=1,
    )
    write_curves(out_dir / "recall.png", curves, f"{part}: {title}")
    if images:
        pictures = _disputed(annotations, images, inputs, outcome, names, top)
        if pictures:
            write_gallery(out_dir / "only_one.png", list(pictures.values()), list(pictures))
    out.print(f"{out_dir}: {', '.join(sorted(p.name for p in out_dir.iterdir()))}", markup=False)


def _evaluated(
    annotations: Path,
    predictions: Path,
    unseen: str | None,
    protocol: str,
    iou_type: str | None,
    *,
    strict: bool,
    warn: bool = True,
) -> tuple[EvaluationInputs, dict[str, PartitionResult], str]:
    """Return what was read, the results per partition, and "masks" or "boxes"."""
    from ggn.data.splits import resolve_text
    from ggn.evaluation.evaluator import evaluate_inputs
    from ggn.evaluation.inputs import read_inputs
    from ggn.evaluation.predictions import have_masks

    _require("--protocol", protocol, get_args(ProtocolName))
    overlap: Any = iou_type or ("segm" if have_masks(predictions) else "bbox")
    _require("--iou-type", overlap, get_args(IouType))
    inputs = read_inputs(annotations, predictions, [overlap], strict=strict)
    if warn:
        _print_mends(annotations, inputs.mends)
    _print_mends(predictions, inputs.predictions.mends)
    for warning in inputs.predictions.warnings:
        err.print(f"{predictions}: warning: {warning}", style="yellow", markup=False)
    for warning in _warnings(inputs) if warn else ():
        err.print(f"{annotations}: warning: {warning}", style="yellow", markup=False)
    partitions: dict[str, list[int]] = {}
    if unseen is not None:
        if not unseen.strip(" ,"):
            raise ValueError("--unseen must name a partition or categories, got an empty string")
        chosen = resolve_text(inputs.categories, unseen, inputs.used_categories)
        partitions["unseen"] = list(chosen)
        partitions["seen"] = [c["id"] for c in inputs.categories if c["id"] not in chosen]
    partitions["all"] = [category["id"] for category in inputs.categories]
    _require_objects(annotations, inputs, partitions, "all" if unseen is None else "unseen")
    kind = "masks" if overlap == "segm" else "boxes"

    def follow(images: Iterator[ComparedImage]) -> Iterable[ComparedImage]:
        label = f"{predictions.name}: {kind}"
        return track(images, label, total=len(inputs.image_ids), console=err)

    any_protocol: Any = protocol
    results = evaluate_inputs(
        inputs, partitions, protocol=any_protocol, iou_type=overlap, follow=follow
    )
    return inputs, results, kind


def _print_mends(file: Path, mends: Mends) -> None:
    for kind, count in mends.counts.items():
        line = f"{file}: mended in reading: {count} {kind}, first {mends.first[kind]}"
        err.print(line, markup=False, highlight=False)


def _warnings(inputs: EvaluationInputs) -> Iterator[str]:
    """Yield reasons why the numbers may mislead."""
    yield from inputs.warnings
    records = [record for records in inputs.objects.values() for record in records]
    crowds = sum(bool(record.get("iscrowd")) for record in records)
    if crowds and crowds >= CROWD_SHARE * len(records):
        yield f"{crowds} of {len(records)} annotations are crowds, which do not count as objects"
    odd = inputs.contradictions
    for fault in odd[:_LISTED]:
        yield f"{fault.where}: {fault.reason}"
    if odd:
        named = len({fault.where for fault in odd})
        yield (
            f"{named} objects contradict themselves, so the numbers may mislead "
            "(--strict refuses them)"
        )


def _require_objects(
    annotations: Path, inputs: EvaluationInputs, partitions: dict[str, list[int]], part: str
) -> None:
    """Refuse to measure a partition without objects."""
    ids = set(partitions[part])
    records = [r for records in inputs.objects.values() for r in records if r["category_id"] in ids]
    if any(not record.get("iscrowd") for record in records):
        return
    what = "object" if part == "all" else "object of the unseen categories"
    crowds = f" but {len(records)} crowds" if records else ""
    raise ValueError(f"{annotations}: has no {what}{crowds}; there is nothing to measure")


def _require(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{option} must be one of {', '.join(allowed)}, got {value!r}")


def _iou_type_of(kind: str) -> IouType:
    return "segm" if kind == "masks" else "bbox"


def _recall_by_category(
    inputs: EvaluationInputs, results: dict[str, PartitionResult]
) -> dict[str, dict[str, tuple[int, float]]]:
    """Return the number of objects and the recall, by partition and category name.

    `all` is left out if there are other partitions. A name that several categories with objects
    share is followed by the id.
    """
    names = {c["id"]: c["name"] for c in inputs.categories if c["id"] in inputs.used_categories}
    count = Counter(names.values())
    labels = {i: name if count[name] == 1 else f"{name} (id {i})" for i, name in names.items()}
    return {
        partition: {labels[i]: v for i, v in result.objects.category_recall(BUDGET).items()}
        for partition, result in results.items()
        if partition != "all" or len(results) == 1
    }


def _names(first: Path, second: Path) -> list[str]:
    """Return the stems of the files, or their paths if the stems are equal."""
    if first.stem != second.stem:
        return [first.stem, second.stem]
    if first == second:
        raise ValueError(f"{first}: the two results files are the same")
    return [str(first), str(second)]


def _disputed(
    annotations: Path,
    folder: Path,
    inputs: EvaluationInputs,
    outcome: Any,
    names: list[str],
    top: int,
) -> dict[str, Any]:
    """Return pictures of the images on which the models differ most, by file name and title."""
    from ggn.data.files import find_image
    from ggn.data.images import read_image
    from ggn.evaluation.disagreement import disagreement_row

    files = {i["id"]: i for i in respell(read_json(annotations), lambda *_: None)["images"]}
    rows: dict[str, Any] = {}
    for image_id in outcome.most_disputed(top):
        image = files[image_id]
        name = image.get("file_name") or Path(str(image.get("coco_url", ""))).name
        if not isinstance(name, str) or not name:
            raise ValueError(f"{annotations}: image {image_id} has no file_name")
        pixels = read_image(folder / find_image(folder, name))
        rows[name] = disagreement_row(pixels, inputs, image_id, outcome, names)
    return rows
