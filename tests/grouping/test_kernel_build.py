"""A kernel that is not that of its sources is noticed."""

import re
import shutil
from pathlib import Path

import pytest

from ggn.core.checkout import StaleBuildError, require_fresh_build
from ggn.evaluation import run_lengths
from ggn.grouping import _kernels, boundaries


def test_the_kernel_of_this_checkout_is_fresh() -> None:
    """If this fails, build again: `make setup`."""
    folder = Path(boundaries.__file__).parent
    require_fresh_build(folder, boundaries.SOURCES, _kernels.SOURCE_HASH, _kernels.__file__)


@pytest.mark.parametrize("edited", boundaries.SOURCES)
def test_an_edited_source_makes_the_kernel_stale(edited: str, tmp_path: Path) -> None:
    for name in boundaries.SOURCES:
        shutil.copy(Path(boundaries.__file__).with_name(name), tmp_path)
    given = (tmp_path, boundaries.SOURCES, _kernels.SOURCE_HASH, _kernels.__file__)
    require_fresh_build(*given)
    with (tmp_path / edited).open("a") as source:
        source.write("\n")
    with pytest.raises(StaleBuildError) as refusal:
        require_fresh_build(*given)
    assert f"_sums.hpp, _trees.hpp, _kernels.pyx in {tmp_path}" in str(refusal.value)
    assert _kernels.__file__ in str(refusal.value)


def test_the_compiled_module_lies_outside_the_source_tree() -> None:
    assert not list(Path(boundaries.__file__).parent.glob("*.so"))
    assert re.fullmatch("[0-9a-f]{64}", _kernels.SOURCE_HASH)


def test_the_build_hashes_the_same_sources() -> None:
    cmake = Path(boundaries.__file__).parents[2] / "CMakeLists.txt"
    if not cmake.is_file():
        pytest.skip("needs the checkout, not only the installed package")
    for package, sources in (("grouping", boundaries.SOURCES), ("evaluation", run_lengths.SOURCES)):
        (built,) = re.findall(rf"ggn_module\(\s*_\w+ {package} ([^)]*)\)", cmake.read_text())
        assert built.split() == list(sources)
    assert not re.search("-ffast-math|-Ofast|funsafe", cmake.read_text())
