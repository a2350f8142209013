"""A file is written whole or not at all; its hash is the standard one of its bytes."""

import hashlib
from pathlib import Path

import pytest

from ggn.core.files import replaced, sha256, text_file, write_text


def test_a_file_appears_under_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "picture.png"
    with replaced(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.name.startswith(".picture.")
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"whole")
        assert not path.exists()
    assert [file.name for file in path.parent.iterdir()] == ["picture.png"]
    assert path.read_bytes() == b"whole"


def test_an_error_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    write_text(path, "old\n")
    with pytest.raises(UnicodeEncodeError), text_file(path) as file:
        file.writelines(["half of the ne", "\udc80"])
    assert [file.name for file in tmp_path.iterdir()] == ["list.txt"]
    assert path.read_text() == "old\n"


def test_text_is_utf8_with_plain_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "list.txt", "Ärger\nΔ\n")
    assert (tmp_path / "list.txt").read_bytes() == "Ärger\nΔ\n".encode()


def test_the_hash_is_the_standard_one(tmp_path: Path) -> None:
    """The SHA-256 of no bytes is known by heart."""
    (tmp_path / "empty").touch()
    (tmp_path / "full").write_bytes(b"abc" * 100_000)
    assert sha256(tmp_path / "empty").startswith("e3b0c44298fc1c14")
    assert sha256(tmp_path / "full") == hashlib.sha256(b"abc" * 100_000).hexdigest()
