"""Each process computes with one thread, so that no result depends on the number of cores."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch

from ggn.engine.threads import one_thread


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_body_has_one_thread_and_the_caller_gets_back_what_it_had() -> None:
    torch.set_num_threads(3)
    with one_thread():
        assert torch.get_num_threads() == 1
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_an_error_gives_back_what_the_caller_had() -> None:
    torch.set_num_threads(2)
    with pytest.raises(KeyError), one_thread():
        raise KeyError
    assert torch.get_num_threads() == 2


def test_callers_side_by_side_have_one_thread_each() -> None:
    torch.set_num_threads(2)
    together = Barrier(4)

    def body(_: int) -> int:
        with one_thread():
            together.wait(30)
            seen = torch.get_num_threads()
            together.wait(30)
            return seen

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(body, range(4))) == {1}
