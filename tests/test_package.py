"""`import ggn` offers the face of the package, typed, and loads nothing heavy."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ggn

ROOT = Path(__file__).parents[1]

LIGHT = """
import sys
import ggn
heavy = {"torch", "numpy", "pandas", "supervision", "mlflow"}
assert not heavy & set(sys.modules), "import ggn"
ggn.Instances, ggn.group, ggn.evaluate, ggn.read_image
assert not (heavy - {"numpy"}) & set(sys.modules), sorted(heavy & set(sys.modules))
ggn.load_detector
assert "torch" in sys.modules
"""


def test_names_are_imported_when_they_are_used() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", LIGHT], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr


def test_the_face() -> None:
    assert ggn.__all__ == [
        "GroupingParams", "Instance", "Instances", "evaluate", "group", "load_affinity",
        "load_detector", "read_image",
    ]  # fmt: skip
    with pytest.raises(AttributeError, match="ggn attribute load_model"):
        ggn.load_model  # type: ignore[attr-defined]  # noqa: B018


def test_a_square_is_grouped_from_its_outline() -> None:
    affinity = np.ones((60, 60), np.float32)
    affinity[10:40, 10:40] = 0
    affinity[12:38, 12:38] = 1
    found = ggn.group(affinity)
    overlaps = [bitmap[12:38, 12:38].sum() / (26 * 26 + bitmap.sum()) for bitmap in found.bitmaps()]
    assert max(overlaps) > 0.45, "half of it is an IoU of 1"


USER = """
import ggn
def scores(path: str) -> list[float]:
    found = ggn.load_detector("shapes").predict(ggn.read_image(path))
    reveal_type(found)
    return [instance.score for instance in found]
"""


def test_types_reach_the_user(tmp_path: Path) -> None:
    assert (ROOT / "ggn" / "py.typed").exists()
    (tmp_path / "user.py").write_text(USER)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        str(tmp_path / "user.py"),
    ]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Success" in answer.stdout, answer.stdout
    assert 'Revealed type is "ggn.core.instances.Instances"' in answer.stdout
