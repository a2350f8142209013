"""Recall of ground-truth segments by candidates: ours, the recorded original's, and Higra's.

    OMP_NUM_THREADS=1 python benchmarks/grouping_quality.py GOLDEN BSDS

GOLDEN holds the recorded maps (`F_map_*.npz`) and the original's candidates, BSDS a Berkeley
segmentation dataset (`val/*.jpg`, `annotations/regions_val.json`). Prints a Markdown table of AR@20
and AR@100: the share of ground-truth segments that the first 20 or 100 candidates match one to one,
averaged over IoU 0.50:0.95 and over the maps of a group. Ours have one setting on all maps, the
default. Higra's `mean_pb_hierarchy` (`pip install higra`; left out where it is missing) is made of
the same map, and its nodes get our scores, filters, suppression and unions.
"""

import argparse
import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from grouping import affinity_of
from numpy.typing import NDArray
from rich.progress import track
from scipy import ndimage

from ggn.core.masks import RLE, decode, from_segmentation, mask_iou
from ggn.grouping import GroupingParams, Hierarchy, group
from ggn.grouping.boundaries import find_arcs, fixed_affinity
from ggn.grouping.regions import rank_nodes

try:
    import higra
except ImportError:
    higra = None

THRESHOLDS = np.arange(50, 100, 5) / 100
COUNTS = (20, 100)
GROUPS = {
    "golden BSDS gradient": (0, 1, 2),
    "golden BSDS boundaries": (3, 4, 5),
    "golden COCO gradient": (6, 7, 8),
    "golden COCO boundaries": (9, 10, 11),
}
METHODS: dict[str, Callable[["Case"], list[RLE] | None]] = {
    "reference": lambda case: case.recorded,
    "Higra": lambda case: higra_candidates(case.affinity) if higra else None,
    "ours": lambda case: group(case.affinity).masks,
    "ours, nodes only": lambda case: group(case.affinity, GroupingParams(union_share=0.0)).masks,
    "ours, globalized": lambda case: (
        group(case.affinity, GroupingParams(globalization_weight=0.5)).masks
    ),
}


@dataclass(frozen=True, eq=False)
class Case:
    """A map with its ground truth."""

    group: str
    affinity: NDArray[np.float32]
    """(H, W)."""
    truth: list[RLE]
    recorded: list[RLE] | None = None
    """The original's candidates (ranking method 3, no globalization), best first."""


def recorded_cases(golden: Path) -> Iterator[Case]:
    """Yield the maps for which the original's candidates were recorded."""
    with gzip.open(golden / "F_candidates.json.gz", "rt") as file:
        candidates = json.load(file)
    for name, numbers in GROUPS.items():
        for number in numbers:
            (path,) = golden.glob(f"F_map_{number:02d}_*.npz")
            with np.load(path) as fixture:
                affinity, truth = fixture["affinity"].astype(np.float32), fixture["gt_rle"]
            size = list(affinity.shape)
            recorded = candidates[path.stem.removeprefix("F_map_")]["g0.0"]["3"]["rle"]
            yield Case(
                name,
                affinity,
                [RLE(size=size, counts=str(counts)) for counts in truth],
                [RLE(size=size, counts=counts) for counts in recorded],
            )


def photograph_cases(bsds: Path) -> Iterator[Case]:
    """Yield two maps per photograph: of its colours, and of the annotated boundaries."""
    dataset = json.loads((bsds / "annotations" / "regions_val.json").read_text())
    truth = defaultdict(list)
    for record in dataset["annotations"]:
        truth[record["image_id"]].append(record["segmentation"])
    for image in dataset["images"]:
        size_hw = image["height"], image["width"]
        regions = [from_segmentation(one, size_hw) for one in truth[image["id"]]]
        photograph = bsds / "val" / image["file_name"]
        yield Case("BSDS val gradient", affinity_of(photograph, size_hw), regions)
        yield Case("BSDS val boundaries", boundary_affinity(regions, size_hw), regions)


def boundary_affinity(regions: list[RLE], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Return a map (H, W) of annotated boundaries, blurred, broken and noisy as a network's are."""
    labels = np.zeros(size_hw, np.int32)
    for number, bitmap in enumerate(decode(regions, size_hw), start=1):
        labels[bitmap > 0] = number
    boundary = ndimage.morphological_gradient(labels, size=3) > 0
    random = np.random.default_rng(labels.sum())
    gaps = ndimage.gaussian_filter(random.standard_normal(size_hw), 6)
    boundary &= gaps < np.quantile(gaps, 0.85)
    noise = ndimage.gaussian_filter(random.standard_normal(size_hw), 1)
    blurred = 1.5 * ndimage.gaussian_filter(boundary.astype(float), 1.5)
    return np.clip(1 - blurred - 0.3 * np.abs(noise), 0, 1).astype(np.float32)


def higra_candidates(affinity: NDArray[np.float32]) -> list[RLE]:
    """Return the ranked nodes of Higra's hierarchy of the map."""
    graph = higra.get_4_adjacency_graph(affinity.shape)
    weights = higra.weight_graph(graph, 1 - affinity, higra.WeightFunction.max)
    tree, altitudes = higra.mean_pb_hierarchy(graph, weights, affinity.shape)
    parents = tree.parents().astype(np.int32)
    labels = higra.CptRegionAdjacencyGraph.get_vertex_map(tree.leaf_graph).astype(np.int32)
    fixed = fixed_affinity(affinity)
    labels = np.ascontiguousarray(labels.reshape(affinity.shape))
    arcs = find_arcs(fixed, labels)
    merged_at = tree.lowest_common_ancestor(arcs.ends[:, 0], arcs.ends[:, 1]).astype(np.int32)
    hierarchy = Hierarchy(labels, parents, np.asarray(altitudes, np.float64), arcs, merged_at)
    return rank_nodes(fixed, hierarchy, GroupingParams()).instances.masks


def average_recall(overlap: NDArray[np.float64]) -> list[float]:
    """Return AR at each of `COUNTS`, given the IoU of ranked candidates (rows) with the truth.

    A candidate takes the free segment it overlaps most, if by more than the threshold.
    """
    found = []
    for count in COUNTS:
        matched = 0
        for threshold in THRESHOLDS:
            free = overlap[:count].copy()
            for row in range(len(free)):
                best = free[row].argmax()
                if free[row, best] > threshold:
                    matched += 1
                    free[:, best] = -1
        found.append(matched / len(THRESHOLDS) / overlap.shape[1])
    return found


def main() -> None:
    """Print one row per group of maps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("golden", type=Path)
    parser.add_argument("bsds", type=Path)
    arguments = parser.parse_args()

    cases = [*recorded_cases(arguments.golden), *photograph_cases(arguments.bsds)]
    recalls: dict[str, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for case in track(cases):
        for name, method in METHODS.items():
            if (found := method(case)) is not None:
                recalls[case.group][name].append(average_recall(mask_iou(found, case.truth)))
    print("| maps | number | " + " | ".join(f"{name}: AR@20 / 100" for name in METHODS) + " |")
    print("|---" * (2 + len(METHODS)) + "|")
    for name, of_method in recalls.items():
        cells = []
        for method in METHODS:
            values = np.mean(of_method[method], axis=0) if method in of_method else []
            cells.append(" / ".join(f"{value:.3f}" for value in values) or "-")
        print(f"| {name} | {len(of_method['ours'])} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
