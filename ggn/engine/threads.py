"""One thread for each process: a sum over several threads depends on how many they are."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import torch

_lock = Lock()
_callers: list[int] = []  # how many threads torch had before each call that is under way


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread in the body, then give torch back what it had.

    Several Python threads may be in the body at a time, each with one thread of torch; the last one
    to leave gives back what the first one found.
    """
    with _lock:
        _callers.append(torch.get_num_threads())
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            if len(_callers) == 1:
                torch.set_num_threads(_callers[0])
                _callers.clear()
            else:
                _callers.pop()
