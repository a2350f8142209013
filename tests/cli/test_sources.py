"""Which images the words of a call name, and under which ids."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ggn.cli.sources import Source, find_images
from ggn.core.coco import CocoError


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two images, a text and a hidden file; two images deeper; results of an earlier call."""
    names = ("b.jpg", "a.PNG", "notes.txt", ".hidden.jpg", "deep/c.tif", "deep/er/a.png")
    for name in (*names, "predictions/b.png"):
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return Path("album")


def find(*words: object, recursive: bool = False, lines: str = "") -> Source:
    return find_images(
        [str(word) for word in words],
        images=None,
        recursive=recursive,
        lines=lines.splitlines(keepends=True),
        out=Path("album/predictions"),
    )


def names(source: Source) -> list[tuple[int, str]]:
    return [(photo.image_id, photo.file_name) for photo in source.photographs]


def test_a_folder_is_its_images_by_name(album: Path) -> None:
    source = find(album)
    assert names(source) == [(1, "a.PNG"), (2, "b.jpg")]
    assert source.folder == album.absolute()
    assert source.others == 1  # notes.txt; a hidden file is none of the user's business
    assert source.photographs[0].path == Path("album/a.PNG")  # as messages name it


def test_recursion_goes_into_every_folder_but_that_of_the_results(album: Path) -> None:
    found = names(find(album, recursive=True))
    assert [name for _, name in found] == ["a.PNG", "b.jpg", "deep/c.tif", "deep/er/a.png"]


def test_files_and_globs_keep_their_order_and_count_once(album: Path) -> None:
    source = find(album / "b.jpg", "album/**/a.*", album / "deep/../b.jpg")
    assert [name for _, name in names(source)] == ["b.jpg", "a.PNG", "deep/er/a.png"]
    assert names(find("album/*.[jP]*")) == [(1, "a.PNG"), (2, "b.jpg")]
    assert find(album / "notes.txt").photographs  # a file that is named is taken at its word


def test_a_list_comes_on_standard_input(album: Path) -> None:
    source = find("-", lines="\ufeffalbum/b.jpg\n\nalbum/deep/c.tif\nalbum/gone.jpg\r\n")
    assert [name for _, name in names(source)] == ["b.jpg", "deep/c.tif", "gone.jpg"]


def test_pictures_are_named_after_images_and_never_share_a_file(album: Path) -> None:
    (album / "b.tif").touch()
    assert find(album, recursive=True).picture_names() == {
        1: "a.png",
        2: "b.jpg.png",
        3: "b.tif.png",
        4: "deep/c.png",
        5: "deep/er/a.png",
    }


def write_dataset(folder: Path, **more: object) -> Path:
    images = [
        {"id": 9, "file_name": "deep/c.tif", "height": 4, "width": 6},
        {"id": 2, "file_name": "b.jpg", "height": 2, "width": 3},
    ]
    (folder / "images.json").write_text(json.dumps({"images": images, **more}))
    return folder / "images.json"


def test_a_coco_file_gives_the_ids(album: Path) -> None:
    path = write_dataset(album)  # no annotations, no categories: only its images count
    source = find(path)
    assert names(source) == [(9, "deep/c.tif"), (2, "b.jpg")]
    assert source.dataset == path
    assert source.photographs[0].size_hw == (4, 6)
    assert source.photographs[0].path == album / "deep/c.tif"
    given = find_images([str(path)], images=Path("album/deep"), recursive=False, lines=[], out=path)
    assert given.photographs[1].path == Path("album/deep/b.jpg")


def test_what_names_nothing_is_refused_before_any_work(album: Path) -> None:
    (album / "empty").mkdir()
    dataset = write_dataset(album)
    for words, message in (
        (["gone.jpg", album, "x*.png"], "gone.jpg: no such file.*\nx\\*.png: no such file"),
        ([album / "empty"], "empty: has no file with the suffix of an image; --recursive"),
        (["-"], "-: standard input is empty"),
        ([dataset, album], "images.json: a COCO file must be the only argument"),
    ):
        with pytest.raises(ValueError, match=message):
            find(*words)
    with pytest.raises(ValueError, match="--images album: needs a COCO file"):
        find_images(["album"], images=album, recursive=False, lines=[], out=album)
    with pytest.raises(ValueError, match="--images nowhere: no such folder"):
        find_images([str(dataset)], images=Path("nowhere"), recursive=False, lines=[], out=album)
    dataset.write_text('{"images": [{"id": 1, "file_name": "../a", "height": 1, "width": 1}]}')
    with pytest.raises(CocoError, match=r"images\[0\] \(id 1\): file_name must stay inside"):
        find(dataset)


def test_images_of_a_file_that_tools_spell_otherwise_are_found(album: Path) -> None:
    """Ids as strings (VIA), backslashes (Windows) and %20 (web tools), and a mark (PowerShell)."""
    (album / "my cup.jpg").touch()
    images = [
        {"id": "4", "file_name": "deep\\c.tif", "width": "30", "height": 20.0},
        {"id": "9", "file_name": "my%20cup.jpg", "width": 30, "height": 20},
    ]
    (album / "set.json").write_text(json.dumps({"images": images}), "utf-8-sig")
    source = find(album / "set.json")
    assert names(source) == [(4, "deep/c.tif"), (9, "my cup.jpg")]
    assert [photo.size_hw for photo in source.photographs] == [(20, 30), (20, 30)]
    assert all(photo.path.is_file() for photo in source.photographs)
