"""A store as a COCO results file: the same detections, whoever reads them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ggn.core import Instances
from ggn.store.export import export_coco_results
from ggn.store.parquet import ImageInstances
from ggn.store.read import Store
from ggn.store.shards import ShardWriter, shard_path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Image 5 has two detections, image 6 none, image 9 one; 3 x 4 pixels."""
    bitmaps = np.zeros((2, 3, 4), dtype=np.uint8)
    bitmaps[0, :2, :3] = 1
    bitmaps[1, 2, 3] = 1
    writer = ShardWriter(tmp_path / "log", shard_path(tmp_path / "store", 0, 1), [9, 5, 6], [])
    found = Instances.from_bitmaps(bitmaps, [0.75, 0.5])
    for image_id, instances in ((9, found[1:]), (5, found), (6, found[:0])):
        writer.append(ImageInstances.without_features(image_id, instances))
    writer.finish()
    return tmp_path / "store"


def test_the_file_holds_what_the_store_holds(store: Path, tmp_path: Path) -> None:
    assert export_coco_results(Store(store), tmp_path / "out" / "found.json", 7) == 3
    records = json.loads((tmp_path / "out" / "found.json").read_text())
    expected = [
        (5, 7, [0, 0, 3, 2], 6, 0.75),
        (5, 7, [3, 2, 1, 1], 1, 0.5),
        (9, 7, [3, 2, 1, 1], 1, 0.75 - 0.25),
    ]
    keys = ("image_id", "category_id", "bbox", "area", "score")
    assert [tuple(record[key] for key in keys) for record in records] == expected
    for item in Store(store):
        of_image = [record for record in records if record["image_id"] == item.image_id]
        found = Instances.from_coco_results(of_image, item.instances.image_size_hw)
        assert found.masks == item.instances.masks
        np.testing.assert_array_equal(found.scores, item.instances.scores, strict=True)


def test_a_store_without_detections_is_an_empty_list(store: Path, tmp_path: Path) -> None:
    empty = Store(store).read(6)
    assert export_coco_results([empty], tmp_path / "none.json") == 0
    assert json.loads((tmp_path / "none.json").read_text()) == []


def test_a_failure_leaves_what_was_there(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "found.json"
    target.write_text("[1]")

    def broken() -> Iterator[ImageInstances]:
        yield Store(store).read(5)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        export_coco_results(broken(), target)
    assert target.read_text() == "[1]"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found.json", "log", "store"]


def test_the_command_writes_the_file_and_refuses_what_is_no_store(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], ggn: Callable[..., int]
) -> None:
    target = tmp_path / "found.json"
    assert ggn("predictions", "export", str(store), "-o", str(target)) == 0
    assert f"{target}: 3 detections" in capsys.readouterr().out
    assert len(json.loads(target.read_text())) == 3
    assert ggn("predictions", "export", str(tmp_path), "-o", str(target)) == 1
    assert f"{tmp_path}: has no shards, so it is not a store" in capsys.readouterr().err
