"""Work on every image of a call: in order, resumed after a kill, faults kept for the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.progress import Progress

from ggn.cli.imagewise import Call, Desk, Failure, Picture, Rate, finished_images
from ggn.cli.sources import Photograph, Source, find_images
from ggn.core.instances import Instances


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Images 1 to 6; image k is 4 high and k wide."""
    (tmp_path / "photos").mkdir()
    for width in range(1, 7):
        pixels = np.full((4, width, 3), 40 * width, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{width}.png")
    return of_folder(tmp_path)


def of_folder(folder: Path) -> Source:
    words = [str(folder / "photos")]
    return find_images(words, images=None, recursive=False, lines=[], out=folder / "out")


class Finder:
    """Finds the whole image, notes which images it saw, and dies at the `dies_at`-th one."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.seen: list[int] = []
        self._dies_at = dies_at

    def __call__(self, images: Sequence[tuple[Photograph, Picture]], desk: Desk) -> list[Instances]:
        ids = [photo.image_id for photo, _ in images]
        self.seen += ids
        if self._dies_at in ids:  # on one of several threads
            raise KeyboardInterrupt
        return [Instances.from_bitmaps(image[None, :, :, 0] > 0, [0.5]) for _, image in images]


def run(
    source: Source, finder: Finder, out: Path, together: int = 1, **settings: Any
) -> tuple[dict[int, tuple[int, int]], list[Failure]]:
    """Sizes (H, W) of what was found, by image id, and the failures."""
    with finished_images(Call("try", source, out, settings, together), finder) as (store, failures):
        return {i.image_id: i.instances.image_size_hw for i in store or ()}, failures


def test_every_image_is_found_once_whatever_goes_together(source: Source, tmp_path: Path) -> None:
    for together in (1, 4, 100):
        finder, out = Finder(), tmp_path / f"out{together}"
        found, failures = run(source, finder, out, together)
        assert found == {k: (4, k) for k in range(1, 7)}
        assert failures == []
        assert sorted(finder.seen) == [1, 2, 3, 4, 5, 6]
        assert list(out.iterdir()) == []  # nothing is left of the state


def test_an_interrupted_call_goes_on_where_it_stopped(source: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(source, Finder(dies_at=5), out)
    second = Finder()
    found, _ = run(source, second, out)
    assert found == {k: (4, k) for k in range(1, 7)}
    assert set(second.seen) >= {5, 6}
    assert 1 not in second.seen


def test_another_call_into_the_same_folder_begins_anew(source: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(source, Finder(dies_at=5), out, min_score=None)
    other = Finder()
    run(source, other, out, min_score=0.5)
    assert sorted(other.seen) == [1, 2, 3, 4, 5, 6]


def test_a_done_image_that_is_another_file_now_is_done_again(
    source: Source, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(source, Finder(dies_at=5), out)
    Image.fromarray(np.ones((4, 9, 3), np.uint8)).save(tmp_path / "photos" / "1.png")
    found, _ = run(source, Finder(), out)
    assert found[1] == (4, 9)


def test_unreadable_images_are_kept_for_the_end_and_tried_again(
    source: Source, tmp_path: Path
) -> None:
    damaged, gone, out = tmp_path / "photos/2.png", tmp_path / "photos/5.png", tmp_path / "out"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:40])
    gone.unlink()
    found, failures = run(source, Finder(), out, together=2)
    assert sorted(found) == [1, 3, 4, 6]
    assert [failure.photograph.image_id for failure in failures] == [2, 5]
    assert "2.png" in failures[0].reason
    assert failures[1].reason.endswith("5.png: no such file")
    damaged.write_bytes(whole)
    mended = Finder()
    found, failures = run(source, mended, out, together=2)
    assert mended.seen == [2]  # the others were done
    assert sorted(found) == [1, 2, 3, 4, 6]
    assert len(failures) == 1


def test_nothing_is_left_if_no_image_could_be_read(source: Source, tmp_path: Path) -> None:
    for path in (tmp_path / "photos").iterdir():
        path.write_bytes(b"no image")
    found, failures = run(source, Finder(), tmp_path / "out")
    assert (found, len(failures)) == ({}, 6)
    assert not (tmp_path / "out").exists()


def test_the_size_that_a_coco_file_states_is_checked(tmp_path: Path, source: Source) -> None:
    records = [{"id": k, "file_name": f"{k}.png", "height": 4, "width": 3} for k in (3, 5)]
    dataset = tmp_path / "photos" / "images.json"
    dataset.write_text(json.dumps({"images": records}))
    stated = find_images([str(dataset)], images=None, recursive=False, lines=[], out=tmp_path)
    found, failures = run(stated, Finder(), tmp_path / "out")
    assert found == {3: (4, 3)}
    assert (
        "image 5 is 5 wide and 4 high, but its record says 3 wide and 4 high" in failures[0].reason
    )


def test_an_error_of_the_network_names_the_image(source: Source, tmp_path: Path) -> None:
    def fail(images: Sequence[tuple[Photograph, Picture]], desk: Desk) -> list[Instances]:
        raise RuntimeError("out of memory")

    with (
        pytest.raises(RuntimeError, match=r"photos/1\.png: out of memory"),
        finished_images(Call("try", source, tmp_path / "out", {}, 1), fail),
    ):
        pass


def test_two_processes_do_not_do_the_same_call(source: Source, tmp_path: Path) -> None:
    call = Call("try", source, tmp_path / "out", {}, 1)
    with (
        finished_images(call, Finder()),
        pytest.raises(ValueError, match="out: another process is working on the same call"),
        finished_images(call, Finder()),
    ):
        pass


def test_the_rate_of_a_finished_call_is_that_of_all_of_it() -> None:
    """Ten images in five seconds, although the last nine came at once."""
    clock = [0.0]
    bar = Progress(Rate(), get_time=lambda: clock[0], disable=True)
    task = bar.add_task("predict", total=10)
    for clock[0], images in ((4.9, 1), (5.0, 9)):
        bar.advance(task, images)
    assert Rate().render(bar.tasks[0]).plain == "2 images/s"
