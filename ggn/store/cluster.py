"""Work on a Ray cluster: actors predict, one per GPU if there are any; tasks do the rest.

Ray sends functions and results between its processes with cloudpickle: whoever reaches the ports of
a cluster can run code there. Keep them inside a network that you trust. Nothing else of GGN reads
pickles, and its shards contain none.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ggn.store.parquet import ImageInstances
from ggn.store.work import FindInImages, Finish, Load

CPUS_PER_PREDICTOR = 4  # where the cluster has no GPU
RETRIES = 3
"""How often an image is done again after its worker was lost, before the run stops and names it."""

logger = logging.getLogger(__name__)


def on_ray(load: Load, finish: Finish, files: Mapping[int, Path]) -> FindInImages:
    """Return a function that finds instances on the cluster of RAY_ADDRESS, or on this machine.

    The workers read the images from `files`, on a disk that all machines share. If a worker or a
    machine is lost, its work is done again.

    Raises:
        ValueError: Ray is not installed.
    """
    ray = _connect()
    resources = ray.cluster_resources()
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
    predictors = _predictors(ray, load, gpus, cpus)

    @ray.remote(num_cpus=1, max_retries=RETRIES)  # type: ignore[untyped-decorator]
    def finish_image(image_id: int, predicted: Any) -> ImageInstances:
        return finish(image_id, predicted)

    def submit(number: int, image_id: int) -> Any:
        predictor = predictors[number % len(predictors)]
        return finish_image.remote(image_id, predictor.predict.remote(str(files[image_id])))

    def find(image_ids: Iterable[int]) -> Iterator[ImageInstances]:
        flying: dict[Any, int] = {}
        losses: dict[int, int] = {}
        todo = enumerate(image_ids)
        while True:
            while len(flying) < 2 * (cpus + len(predictors)) and (entry := next(todo, None)):
                flying[submit(*entry)] = entry[1]
            if not flying:
                return
            (done, *_), _ = ray.wait(list(flying))
            image_id = flying.pop(done)
            try:
                yield ray.get(done)
            except ray.exceptions.RayError as error:
                losses[image_id] = losses.get(image_id, 0) + 1
                cause = getattr(error, "cause", error)
                if not isinstance(cause, ray.exceptions.RayError) or losses[image_id] > RETRIES:
                    reason = f"image {image_id} ({files[image_id]}): {cause}"
                    raise RuntimeError(reason) from error
                logger.warning("image %d: its worker was lost; it is done again", image_id)
                flying[submit(losses[image_id], image_id)] = image_id

    return find


def _connect() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ValueError("runner ray: Ray is not installed; run `make ray`") from error
    if os.environ.get("RAY_ADDRESS"):
        ray.init(ignore_reinit_error=True)
    else:  # a cluster of this machine alone, that no other machine can reach
        ray.init(include_dashboard=False, _node_ip_address="127.0.0.1", ignore_reinit_error=True)
    return ray


def _predictors(ray: Any, load: Load, gpus: int, cpus: int) -> list[Any]:
    """Start one actor per GPU, or some on the CPU. They reserve no core, because tasks need one."""

    class Predictor:
        def __init__(self) -> None:
            self._predict = load()

        def predict(self, file: str) -> Any:
            return self._predict(Path(file))

    actor = ray.remote(
        num_cpus=0, num_gpus=1 if gpus else 0, max_restarts=-1, max_task_retries=RETRIES
    )(Predictor)
    return [actor.remote() for _ in range(gpus or max(1, cpus // CPUS_PER_PREDICTOR))]
