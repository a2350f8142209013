"""Judges pseudo ground truth before a detector is trained on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ggn.core.instances import Instances
from ggn.core.masks import RLE
from ggn.pseudo_gt.params import PseudoGtParams
from ggn.pseudo_gt.select import Quality, select


@dataclass
class Judgement:
    """Compares the pseudo masks with hidden objects, and a repeated choice with the seen ones.

    Pseudo masks avoid the seen annotations, so they can't be compared with them. Therefore the
    choice is repeated as if nothing were annotated. Everything else that it finds counts as wrong,
    even real objects that nobody annotated, so the true precision is higher.
    """

    params: PseudoGtParams
    hidden: Quality = field(default_factory=Quality)
    seen: Quality = field(default_factory=Quality)

    def add(
        self, ranked: Instances, chosen: Instances, hidden: Sequence[RLE], seen: Sequence[RLE]
    ) -> None:
        """Add an image: its candidates best first, those chosen, and the masks of its objects."""
        self.hidden.add(chosen, hidden)
        self.seen.add(select(ranked, [], self.params)[0], seen)

    def metrics(self) -> dict[str, float]:
        """Return the counts, and how well hidden and seen objects are found, if there are any.

        Keys: `pseudo_masks`, `hidden_objects`, `seen_objects`; `precision`, `recall`, `f1` and
        `mean_best_iou` for hidden objects, and the same with the prefix `seen_` for seen ones.
        """
        counts = {
            "pseudo_masks": self.hidden.pseudo,
            "hidden_objects": self.hidden.objects,
            "seen_objects": self.seen.objects,
        }
        hidden = self.hidden.metrics() if self.hidden.objects else {}
        seen = self.seen.metrics() if self.seen.objects else {}
        return {**counts, **hidden, **{f"seen_{name}": value for name, value in seen.items()}}

    def warning(self) -> str | None:
        """Return why not to train on this pseudo ground truth, or None.

        Hidden objects have no influence, because in practice nobody has them.
        """
        floor, seen = self.params.warn_below_f1, self.seen.metrics()
        if not self.seen.objects or seen["f1"] >= floor:
            return None
        return (
            f"The pseudo ground truth is poor. Chosen the same way, {self.seen.pseudo} masks find "
            f"{self.seen.hits} of {self.seen.objects} annotated objects (precision "
            f"{seen['precision']:.3f}, recall {seen['recall']:.3f}); the F1 is {seen['f1']:.3f}, "
            f"below pseudo_gt.warn_below_f1, {floor:g}. Most of these masks are wrong."
        )
