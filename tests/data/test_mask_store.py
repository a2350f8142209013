"""The store gives back what was put in, image by image, and names what is damaged."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from ggn.core import Instances
from ggn.data import mask_store
from ggn.data.mask_store import MaskStore, MaskStoreError, MaskStoreWriter, store_of


def made_up(image_id: int) -> Instances:
    """Return 0 to 3 random masks."""
    rng, count = np.random.default_rng(image_id), image_id % 4
    bitmaps = rng.integers(0, 2, (count, 5 + image_id % 2, 7))
    return Instances.from_bitmaps(bitmaps, rng.random(count))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of the even ids below 100, in shards of 16 images."""
    monkeypatch.setattr(mask_store, "IMAGES_PER_SHARD", 16)
    with MaskStoreWriter(tmp_path / "store") as writer:
        for image_id in range(0, 100, 2):
            masks = made_up(image_id)
            writer.add(image_id, masks, [0.25] * len(masks))
    mask_store._open.cache_clear()
    return tmp_path / "store"


def test_every_image_is_read_by_its_id_in_any_order(store: Path) -> None:
    assert len(list(store.glob("shard-*"))) == 4
    opened = MaskStore(store)
    assert opened.image_ids.tolist() == list(range(0, 100, 2))
    assert opened.mask_counts.tolist() == [image_id % 4 for image_id in range(0, 100, 2)]
    for image_id in np.random.default_rng(0).permutation(opened.image_ids).tolist():
        found, expected = opened.read(image_id), made_up(image_id)
        assert found is not None
        assert found.masks == expected.masks
        assert found.image_size_hw == expected.image_size_hw
        np.testing.assert_array_equal(found.scores, expected.scores)
    for absent in (-1, 1, 99, 100):
        assert opened.read(absent) is None
    assert [(i, len(m), iou) for i, m, iou in opened][:2] == [(0, 0, []), (2, 2, [0.25, 0.25])]
    opened.verify()


def test_forked_processes_read_from_a_store_that_is_open(store: Path) -> None:
    opened = MaskStore(store)
    opened.read(2)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map(opened.read, range(0, 100, 2))
    assert [len(masks) for masks in found if masks is not None] == opened.mask_counts.tolist()


def test_an_empty_store_is_one(tmp_path: Path) -> None:
    with MaskStoreWriter(tmp_path / "store"):
        pass
    assert len(MaskStore(tmp_path / "store")) == 0
    assert MaskStore(tmp_path / "store").read(1) is None


def test_what_was_not_finished_is_no_store(store: Path) -> None:
    def interrupted() -> None:
        with MaskStoreWriter(store) as writer:
            writer.add(1, made_up(1), [0.0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(MaskStoreError, match=r"index.parquet: missing; .* is unfinished"):
        MaskStore(store)


def test_wrong_additions_are_refused(tmp_path: Path) -> None:
    with MaskStoreWriter(tmp_path) as writer:
        writer.add(5, made_up(5), [0.0])
        with pytest.raises(ValueError, match="image 5: ids must ascend, the last was 5"):
            writer.add(5, made_up(5), [0.0])
        with pytest.raises(ValueError, match=r"image 6: gt_iou must be \(2,\)"):
            writer.add(6, made_up(6), [0.0])


def test_damage_is_named(store: Path) -> None:
    shard = store / "shard-00002.parquet"
    content = shard.read_bytes()
    opened = MaskStore(store)
    shard.write_bytes(bytes([content[0] ^ 1, *content[1:]]))
    with pytest.raises(MaskStoreError, match=r"shard-00002.parquet: damaged, its checksum"):
        opened.verify()
    shard.write_bytes(content[:50])
    mask_store._open.cache_clear()
    with pytest.raises(MaskStoreError, match=r"shard-00002.parquet: damaged"):
        opened.read(64)
    shard.unlink()
    with pytest.raises(MaskStoreError, match=r"shards missing: \['shard-00002.parquet'\]"):
        MaskStore(store)
    (store / "index.parquet").write_bytes(b"PAR1")
    with pytest.raises(MaskStoreError, match=r"index.parquet: damaged"):
        MaskStore(store)


def test_a_training_file_names_the_store_that_it_was_written_with(store: Path) -> None:
    assert store_of({}) is None
    named = {"store": str(store), "sha256": MaskStore(store).digest}
    opened = store_of({"pseudo_gt": named})
    assert opened is not None
    assert len(opened) == 50
    with MaskStoreWriter(store) as writer:
        writer.add(2, made_up(2), [0.0, 0.0])
    with pytest.raises(MaskStoreError, match="has changed since the training file was written"):
        store_of({"pseudo_gt": named})
