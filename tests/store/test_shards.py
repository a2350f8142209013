"""Instances survive kills, and a damaged or incomplete store is refused by name."""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ggn.core import Instances
from ggn.store import parquet
from ggn.store.parquet import ImageInstances, StoreError
from ggn.store.read import Store
from ggn.store.shards import ShardWriter, plan_shards, shard_path

NAMES = ["area", "contrast"]


def made_up(image_id: int) -> ImageInstances:
    """Return what may be found in an image; in every fifth there is nothing."""
    rng = np.random.default_rng(image_id)
    count = image_id % 5
    height, width = 6 + image_id % 3, 9
    if count == 0:
        nothing = Instances.empty((height, width))
        return ImageInstances(image_id, nothing, np.zeros((0, 2), dtype=np.float32))
    bitmaps = rng.random((count, height, width)) < 0.4
    features = rng.standard_normal((count, 2), dtype=np.float32)
    return ImageInstances(image_id, Instances.from_bitmaps(bitmaps, rng.random(count)), features)


def write(
    folder: Path, ids: Sequence[int], names: Sequence[str] = NAMES, shard: tuple[int, int] = (0, 1)
) -> Path:
    """Write one shard without interruption."""
    path = shard_path(folder / "store", *shard)
    writer = ShardWriter(folder / f"{path.stem}.log", path, ids, names)
    for image_id in ids:
        writer.append(made_up(image_id))
    writer.finish()
    return path


def assert_same(a: ImageInstances, b: ImageInstances) -> None:
    assert a.image_id == b.image_id
    assert a.instances.masks == b.instances.masks
    assert a.instances.image_size_hw == b.instances.image_size_hw
    np.testing.assert_array_equal(a.instances.scores, b.instances.scores, strict=True)
    np.testing.assert_array_equal(a.features, b.features, strict=True)


def test_ids_are_cut_into_ranges() -> None:
    assert plan_shards([9, 3, 5, 1, 7], 2) == [[1, 3, 5], [7, 9]]
    assert plan_shards([2, 1], 3) == [[1], [2], []]
    assert plan_shards([], 1) == [[]]


@settings(deadline=None)
@given(st.sets(st.integers(0, 10**12)), st.integers(1, 9), st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_the_listing(
    ids: set[int], shards: int, shuffler: random.Random
) -> None:
    listed = list(ids)
    shuffler.shuffle(listed)
    plan = plan_shards(listed, shards)
    assert plan == plan_shards(sorted(ids), shards)
    assert sorted(image_id for shard in plan for image_id in shard) == sorted(ids)
    assert max(map(len, plan)) - min(map(len, plan)) <= 1


def test_a_plan_without_shards_or_with_a_repeated_image_is_refused() -> None:
    with pytest.raises(ValueError, match="shards must be at least 1, got 0"):
        plan_shards([1], 0)
    with pytest.raises(ValueError, match="image ids must be unique"):
        plan_shards([1, 2, 1], 1)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    ids = [40, 3, 7, 15]  # 40 and 15 have no instances
    write(tmp_path, ids)
    assert Store(tmp_path / "store").feature_names == NAMES
    read = list(Store(tmp_path / "store").read_all(ids))
    assert [item.image_id for item in read] == [3, 7, 15, 40]
    for item in read:
        assert_same(item, made_up(item.image_id))


def test_a_store_of_several_shards_holds_every_image_once(tmp_path: Path) -> None:
    ids = list(range(1, 700))  # more than two row groups in each shard
    for index, shard in enumerate(plan_shards(ids, 2)):
        write(tmp_path, shard, shard=(index, 2))
    read = {item.image_id: item for item in Store(tmp_path / "store").read_all(ids)}
    assert sorted(read) == ids
    for image_id in (1, 350, 699):
        assert_same(read[image_id], made_up(image_id))


def test_a_shard_without_images_is_a_shard(tmp_path: Path) -> None:
    for index, shard in enumerate(plan_shards([4], 2)):
        write(tmp_path, shard, shard=(index, 2))
    assert [item.image_id for item in Store(tmp_path / "store").read_all([4])] == [4]


def test_a_later_writer_goes_on_and_the_bytes_are_the_same(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", [1, 2, 3, 4]).read_bytes()
    path = shard_path(tmp_path / "store", 0, 1)
    first = ShardWriter(tmp_path / "log", path, [1, 2, 3, 4], NAMES)
    first.append(made_up(4))
    first.append(made_up(2))
    first.close()
    assert not path.exists()
    second = ShardWriter(tmp_path / "log", path, [1, 2, 3, 4], NAMES)
    assert second.finished == {2, 4}
    assert second.instances == first.instances
    second.append(made_up(1))
    second.append(made_up(3))
    second.finish()
    assert second.instances == sum(len(made_up(image_id).instances) for image_id in (1, 2, 3, 4))
    assert path.read_bytes() == whole


def test_a_record_torn_at_any_byte_is_cut_off(tmp_path: Path) -> None:
    ids = [1, 2, 3]
    whole = write(tmp_path, ids).read_bytes()
    log, path = tmp_path / "shard-00000-of-00001.log", shard_path(tmp_path / "store", 0, 1)
    content = log.read_bytes()
    ends = [0, *(index + 1 for index, byte in enumerate(content) if byte == ord("\n"))]
    for length in range(0, len(content) + 1, 3):
        log.write_bytes(content[:length])
        writer = ShardWriter(log, path, ids, NAMES)
        assert writer.finished == set(ids[: sum(end <= length for end in ends) - 1])
        for image_id in ids:
            if image_id not in writer.finished:
                writer.append(made_up(image_id))
        writer.finish()
        assert path.read_bytes() == whole


def test_what_follows_a_corrupt_record_is_done_again(tmp_path: Path) -> None:
    write(tmp_path, [1, 2, 3])
    log = tmp_path / "shard-00000-of-00001.log"
    lines = log.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"image_id": 2', b'"image_id": 3')
    log.write_bytes(b"".join(lines))
    writer = ShardWriter(log, shard_path(tmp_path / "store", 0, 1), [1, 2, 3], NAMES)
    assert writer.finished == {1}
    writer.close()
    assert log.read_bytes() == lines[0]


def test_a_lost_shard_is_written_again_without_repeating_its_images(tmp_path: Path) -> None:
    path = write(tmp_path, [1, 2, 3])
    content = path.read_bytes()
    path.unlink()  # as DVC does before it runs a stage again
    writer = ShardWriter(tmp_path / f"{path.stem}.log", path, [1, 2, 3], NAMES)
    assert writer.finished == {1, 2, 3}
    writer.finish()
    assert path.read_bytes() == content


def test_a_crash_while_the_shard_is_written_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", full)
        with pytest.raises(OSError, match="No space left"):
            write(tmp_path, [1, 2])
    assert list((tmp_path / "store").iterdir()) == []
    path = shard_path(tmp_path / "store", 0, 1)
    ShardWriter(tmp_path / f"{path.stem}.log", path, [1, 2], NAMES).finish()
    assert len(list(Store(tmp_path / "store").read_all([1, 2]))) == 2


WRITER = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_shards import NAMES, ShardWriter, made_up
writer = ShardWriter(Path("log"), Path("store/shard-00000-of-00001.parquet"), range(1, 81), NAMES)
print("ready", flush=True)
for image_id in range(1, 81):
    if image_id not in writer.finished:
        writer.append(made_up(image_id))
        print(image_id, flush=True)
        time.sleep(0.002)
writer.finish()
"""


def test_killed_at_random_moments_it_repeats_no_image(tmp_path: Path) -> None:
    """`kill -9` a writer again and again: no image is done twice, the bytes are the same."""
    rng = random.Random(0)
    command = [sys.executable, "-c", WRITER.format(tests=str(Path(__file__).parent))]
    path, done, kills = tmp_path / "store" / "shard-00000-of-00001.parquet", [], 0
    while not path.exists():
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if kills < 4:
            time.sleep(rng.uniform(0.005, 0.06))
            process.kill()
            kills += 1
        done += [int(line) for line in process.communicate()[0].splitlines()]
    assert kills == 4
    # an image may be logged and the process killed before it says so, but none may be done twice
    assert len(done) == len(set(done)) >= 80 - kills
    assert path.read_bytes() == write(tmp_path / "whole", range(1, 81)).read_bytes()


def test_a_shard_is_not_finished_before_its_images(tmp_path: Path) -> None:
    path = shard_path(tmp_path / "store", 0, 1)
    writer = ShardWriter(tmp_path / "log", path, range(1, 11), NAMES)
    writer.append(made_up(3))
    with pytest.raises(StoreError, match=r"9 images missing, such as \[1, 2, 4, 5, 6\]"):
        writer.finish()
    writer.close()
    assert not path.exists()


def test_images_that_do_not_belong_are_refused(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path / "log", shard_path(tmp_path, 0, 1), [1, 2], NAMES)
    writer.append(made_up(1))
    for image_id in (1, 9):
        with pytest.raises(
            StoreError, match=f"image {image_id} is of another shard, or already in this one"
        ):
            writer.append(made_up(image_id))
    good = made_up(2)
    with pytest.raises(ValueError, match=r"image 2: features must be \(2, 2\), got \(2, 1\)"):
        writer.append(ImageInstances(2, good.instances, good.features[:, :1]))
    bad = good.features.copy()
    bad[1, 1] = np.nan
    with pytest.raises(ValueError, match=r"image 2: .* finite, but contrast is nan for instance 1"):
        writer.append(ImageInstances(2, good.instances, bad))
    assert writer.finished == {1}
    writer.close()


def test_a_log_of_something_else_is_refused(tmp_path: Path) -> None:
    log = write(tmp_path, [1, 2]).stem + ".log"
    path = shard_path(tmp_path, 0, 1)
    with pytest.raises(StoreError, match=f"{log}: image 2 belongs to another shard"):
        ShardWriter(tmp_path / log, path, [1, 3], NAMES)
    with pytest.raises(StoreError, match=f"{log}: image 1 has other features"):
        ShardWriter(tmp_path / log, path, [1, 2], ["area"])


def remove_second(folder: Path) -> None:
    shard_path(folder, 1, 2).unlink()


def remove_all(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def add_of_another_plan(folder: Path) -> None:
    shard_path(folder, 2, 3).write_bytes(shard_path(folder, 1, 2).read_bytes())


def truncate(folder: Path) -> None:
    path = shard_path(folder, 1, 2)
    path.write_bytes(path.read_bytes()[:-20])


def write_another_table(folder: Path) -> None:
    pq.write_table(pa.table({"image_id": [2, 4]}), shard_path(folder, 1, 2))


def drop_the_names(folder: Path) -> None:
    path = shard_path(folder, 1, 2)
    pq.write_table(pq.read_table(path).replace_schema_metadata({}), path)


def write_other_features(folder: Path) -> None:
    write(folder.parent / "other", [3, 4], ["area", "altitude"], shard=(1, 2)).replace(
        shard_path(folder, 1, 2)
    )


def copy_the_first(folder: Path) -> None:
    shard_path(folder, 1, 2).write_bytes(shard_path(folder, 0, 2).read_bytes())


SECOND = "shard-00001-of-00002.parquet"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_second, rf"store: shards missing: \['{SECOND}'\]"),
        (remove_all, "store: has no shards"),
        (add_of_another_plan, r"not of this plan: \['shard-00002-of-00003.parquet'\]"),
        (truncate, f"{SECOND}: damaged: "),
        (write_another_table, f"{SECOND}: is not a shard of instances: it has other columns"),
        (drop_the_names, f"{SECOND}: is not a shard of instances: it does not name its features"),
        (write_other_features, rf"{SECOND}: its features \['area', 'altitude'\] differ from"),
        (copy_the_first, f"{SECOND}: damaged: image 1 comes after image 2"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_store_is_refused(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    for index, shard in enumerate(plan_shards([1, 2, 3, 4], 2)):
        write(tmp_path, shard, shard=(index, 2))
    damage(tmp_path / "store")
    with pytest.raises(StoreError, match=message):
        list(Store(tmp_path / "store").read_all([1, 2, 3, 4]))


def test_images_missing_from_a_store_or_unknown_to_the_dataset_are_named(tmp_path: Path) -> None:
    write(tmp_path, [1, 2, 3])
    with pytest.raises(StoreError, match=r"store: 2 images are missing, first \[5, 6\]"):
        list(Store(tmp_path / "store").read_all([1, 2, 3, 5, 6]))
    with pytest.raises(StoreError, match="store: image 3 is unknown"):
        list(Store(tmp_path / "store").read_all([1, 2]))


def test_a_row_that_makes_no_sense_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, [1, 2])
    table = pq.read_table(path)
    scores = pa.array([[0.5], [0.5]], type=pa.list_(pa.float32()))  # image 2 has two masks
    column = table.schema.get_field_index("scores")
    pq.write_table(table.set_column(column, parquet.SCHEMA.field("scores"), scores), path)
    with pytest.raises(StoreError, match=r"image 2: scores must be \(2,\), got \(1,\)"):
        list(Store(tmp_path / "store").read_all([1, 2]))


def test_one_image_is_found_among_many(tmp_path: Path) -> None:
    ids = [3 * number for number in range(1, 300)]
    for index, shard in enumerate(plan_shards(ids, 2)):
        write(tmp_path, shard, shard=(index, 2))
    opened = Store(tmp_path / "store")
    assert opened.images == 299
    for image_id in (3, 192, 195, 450, 453, 897):  # beside the ends of row groups and shards
        assert_same(opened.read(image_id), made_up(image_id))
    for image_id in (0, 4, 451, 900):
        with pytest.raises(StoreError, match=f"store: has no image {image_id}"):
            opened.read(image_id)


def test_the_bytes_are_those_of_the_content(tmp_path: Path) -> None:
    """Other images in another order of time, elsewhere: the same content is the same file."""
    there = write(tmp_path / "there", [1, 2, 3]).read_bytes()
    assert write(tmp_path / "here", [3, 1, 2]).read_bytes() == there
    assert write(tmp_path / "other", [1, 2, 4]).read_bytes() != there


def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    """Of the statistics and empty fields in the heads some say nothing; all else is noticed."""
    path = write(tmp_path, [3, 4])
    content = path.read_bytes()
    refused = 0
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1
        path.write_bytes(flipped)
        try:
            read = list(Store(tmp_path / "store").read_all([3, 4]))
        except StoreError:
            refused += 1
        else:
            for item in read:
                assert_same(item, made_up(item.image_id))
    assert refused > len(content) / 2
