"""Runs tasks on every core, with results in order; the number of cores does not change them."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Result = TypeVar("Result")
Task = Callable[[], Result]


def in_order(tasks: Iterable[Task[Result]], together: int = 1) -> Iterator[Result]:
    """Yield the results of tasks in order, with one thread per core that this process may use.

    Only a few tasks run ahead of the last result taken, which bounds the memory. The first error,
    in the order of the tasks, is raised.

    Args:
        tasks: each is called once. Threads help if tasks spend their time outside Python.
        together: how many tasks a thread does at a time; choose more if they are short.
    """
    threads = len(os.sched_getaffinity(0))
    if threads == 1:
        for task in tasks:
            yield task()
        return
    waiting: deque[Future[list[Result]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="evaluate") as pool:
        try:
            remaining = iter(tasks)
            while group := list(islice(remaining, together)):
                waiting.append(pool.submit(_done, group))
                if len(waiting) > 2 * threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _done(tasks: Iterable[Task[Result]]) -> list[Result]:
    return [task() for task in tasks]
