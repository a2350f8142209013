"""Stage `inherit`: copy what a split uses from another split or from a release."""

import shutil
from pathlib import Path

from ggn.data.mask_store import INDEX, MaskStore
from ggn.engine.weights import adopt_weights
from pipelines.stage import open_stage, run_stage

INPUTS = ("{recipe}",)
KINDS = {"affinity": "affinity", "pseudo_gt": "detector", "detector": "detector"}


def main(split: str, section: str, source: str) -> None:
    """Write data/SPLIT/inherited/SECTION/SOURCE from a path such as models/imagenet/ggn."""
    with open_stage("inherit", split, source, inputs=INPUTS) as run:
        folder = run.data / "inherited" / section / source
        if section == "grouping":
            if (Path(source) / INDEX).exists():
                MaskStore(source).verify()
            copy(Path(source), folder)
        elif section in KINDS:
            adopt_weights(source, folder, KINDS[section])
        else:
            allowed = ", ".join([*KINDS, "grouping"])
            raise ValueError(f"inherited: section must be one of {allowed}, got {section!r}")


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


if __name__ == "__main__":
    run_stage(main)
