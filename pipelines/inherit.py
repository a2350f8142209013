"""Stage `inherit`: bring the weights of one split to another that begins with them."""

from ggn.engine.weights import adopt_weights
from pipelines.stage import open_stage, run_stage

INPUTS = ("models/{recipe}",)


def main(split: str, weights: str) -> None:
    """Write data/SPLIT/inherited/WEIGHTS from models/WEIGHTS, such as imagenet/ggn."""
    with open_stage("inherit", split, weights, inputs=INPUTS) as run:
        source = run.models.parent / weights
        kind = "affinity" if source.name == "affinity" else "detector"
        adopt_weights(source, run.data / "inherited" / weights, kind)


if __name__ == "__main__":
    run_stage(main)
