"""How a row of params.yaml groups an image and ranks its segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ggn.core.instances import Instances
    from ggn.core.masks import RLE
    from ggn.detector import Detector
    from ggn.grouping import Candidates, GroupingParams
    from ggn.pseudo_gt.learn import LearnedRanking
    from ggn.pseudo_gt.params import RankName
    from ggn.store.parquet import ImageInstances


@dataclass(frozen=True)
class RowGrouping:
    """Grouping and ranking of a row, or of the reference."""

    params: GroupingParams
    rank: RankName
    learned: LearnedRanking | None = None
    """The ranking, if `rank` is `learned`."""
    oln: Detector | None = None
    """The detector that rates candidates, if `rank` is `oln`."""
    oln_sha256: str = ""
    """Digest of its weights."""

    def settings(self) -> dict[str, Any]:
        """Return the settings as JSON data, to tell them from others."""
        digest = {} if self.learned is None else {"learned": self.learned.digest}
        if self.oln is not None:
            digest = {"oln": self.oln_sha256}
        return {"grouping": self.params.model_dump(), "rank": self.rank, **digest}

    def segments(self, affinity: NDArray[np.float32]) -> Instances:
        """Return the segments of an affinity (H, W), best first; not for an `oln`."""
        from ggn.grouping import candidates

        return self.ranked(candidates(affinity, self.params))

    def ranked(self, found: Candidates, image: NDArray[np.uint8] | None = None) -> Instances:
        """Return the candidates of an image uint8 (H, W, 3), best first; an `oln` needs the image.

        Candidates may have another size.
        """
        from ggn.grouping import FEATURE_NAMES
        from ggn.pseudo_gt.rank import oln_scores, rank_candidates
        from ggn.store.parquet import ImageInstances

        item = ImageInstances(0, found.instances, found.features)
        given = None if self.learned is None else {0: self.learned(found.features)}
        if self.oln is not None and image is not None:
            boxes = found.instances.resized((image.shape[0], image.shape[1])).boxes_xyxy
            given = {0: oln_scores(item, *self.oln.rate_boxes(image, boxes))}
        return rank_candidates(item, FEATURE_NAMES, self.rank, given)


def row_grouping(split: str | None, device: str) -> RowGrouping:
    """Return grouping and ranking of a row of params.yaml, or the reference's.

    Args:
        split: the row.
        device: of the OLN, if the row ranks by one.

    Raises:
        ValueError: there is no such row, or its ranking needs files that its stages have not made
            yet.
    """
    from ggn.grouping import GroupingParams

    if split is None:
        return RowGrouping(GroupingParams(), "extracted")
    from pipelines.stage import load_params

    sections: dict[str, Any] = load_params(split)
    params, rank = sections["grouping"], sections["pseudo_gt"].rank
    if rank == "oln":
        return RowGrouping(params, rank, None, *_oln(split, device))
    return RowGrouping(params, rank, _learned(split) if rank == "learned" else None)


def _oln(split: str, device: str) -> tuple[Detector, str]:
    """Return the row's baseline, which its stages ask, and the digest of its weights."""
    from ggn.core.coco import read_json
    from ggn.detector import load_detector

    folder = Path("models") / split / "baseline"
    if not folder.exists():
        raise ValueError(
            f"splits.{split}.pseudo_gt.rank is 'oln', which asks the detector {folder}; "
            f"`dvc repro train_detector@{split}-baseline` makes it"
        )
    oln = load_detector(folder, device)
    if oln.params.heads != "oln":
        raise ValueError(
            f"splits.{split}.pseudo_gt.rank is 'oln', but the heads of {folder} are "
            f"{oln.params.heads!r}"
        )
    return oln, str(read_json(folder / "card.json")["weights_sha256"])


def _learned(split: str) -> LearnedRanking:
    """Fit to the candidates and the annotations of the row's training images."""
    from ggn.core.coco import annotations_by_image, read_coco
    from ggn.grouping import FEATURE_NAMES
    from ggn.pseudo_gt.learn import LearnedRanking
    from ggn.pseudo_gt.select import objects
    from ggn.store.read import Store

    folder, truth = Path("data") / split / "candidates", Path("data") / split / "training"
    annotations = truth / "baseline.json"
    absent = [str(path) for path in (folder, annotations) if not path.exists()]
    if absent:
        raise ValueError(
            f"splits.{split}.pseudo_gt.rank is 'learned', from {folder} and {annotations}; "
            f"missing: {', '.join(absent)}; `dvc repro extract_regions@{split}` makes them"
        )
    dataset, store = read_coco(annotations), Store(folder)
    if store.feature_names and store.feature_names != list(FEATURE_NAMES):
        raise ValueError(
            f"{folder}: has the features {store.feature_names}, not {list(FEATURE_NAMES)}; "
            f"`dvc repro extract_regions@{split}` makes it again"
        )
    annotated = annotations_by_image(dataset)
    sizes = {image["id"]: (image["height"], image["width"]) for image in dataset["images"]}

    def labelled() -> Iterator[tuple[ImageInstances, Sequence[RLE]]]:
        for item in store.read_all(list(sizes)):
            yield item, objects(annotated[item.image_id], sizes[item.image_id])

    return LearnedRanking(labelled())
