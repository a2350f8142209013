"""Arrays on disk: like others, without a file that somebody has to remove."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from ggn.core.allocation import on_disk


def test_an_array_on_disk_is_like_another_and_leaves_no_file(tmp_path: Path) -> None:
    image = on_disk(tmp_path)((3, 4, 2), np.uint16)
    assert type(image) is np.ndarray
    assert (image.shape, image.dtype, image.sum()) == ((3, 4, 2), np.uint16, 0)
    image[1] = 7
    view = image[1:, ::-1]
    del image
    assert view.sum() == 7 * 8
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_met_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left on device for 24 bytes") as caught:
        on_disk(tmp_path)((2, 3), np.float32)
    assert caught.value.filename == tmp_path
    assert not list(tmp_path.iterdir())
