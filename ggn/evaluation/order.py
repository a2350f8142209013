"""Tasks on every core, their results in order: what is computed does not depend on the number."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Result = TypeVar("Result")
Task = Callable[[], Result]


def in_order(tasks: Iterable[Task[Result]], together: int = 1) -> Iterator[Result]:
    """Results of tasks, in their order; a thread for each core that this process may use.

    Few tasks are ahead of the last result that was taken, which bounds the memory. The first error,
    in the order of the tasks, is raised.

    Args:
        tasks: each is called once. They gain where they spend their time outside Python.
        together: how many a thread does at a time; more where they are short.
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
