"""Affinity maps of images, from trained weights."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.engine.backbone import normalise
from ggn.engine.devices import chosen_device
from ggn.engine.inference import image_tensor, inference
from ggn.engine.precision import half_dtype, warn_if_emulated
from ggn.engine.weights import WeightsError, load_weights


class AffinityPredictor:
    """A trained affinity network on a device.

    `precision` as in `AffinityParams`; the last layer and the upsampling are always float32.
    `scales` and `mirrored` are `prediction_scales` and `prediction_mirrored` there; without them,
    the image is processed once, at its own scale.
    """

    def __init__(
        self,
        network: AffinityNet,
        device: str = "cpu",
        precision: str = "auto",
        scales: Sequence[float] = (1.0,),
        mirrored: bool = False,
    ) -> None:
        self._device = torch.device(device)
        self._network = network.eval().to(self._device).to(memory_format=torch.channels_last)
        self._half = half_dtype(precision)
        warn_if_emulated(precision, self._device.type)
        self._scales, self._mirrored = scales, mirrored

    def predict(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the affinity (H, W), float32 in [0, 1], of an RGB image uint8 (H, W, 3).

        1 is inside an object, 0 on a boundary. Any size from 1×1 on is allowed, without padding.
        """
        pixels = image_tensor(image).unsqueeze(0)
        with inference(self._device, self._half):
            logits = self._logits(normalise(pixels.to(self._device)))
            probability = logits.sigmoid()
        affinity: NDArray[np.float32] = probability.cpu().numpy()
        return affinity

    def _logits(self, image: Tensor) -> Tensor:
        """Return the mean of the logits (H, W), float32, over scales and mirror images."""
        images = torch.cat([image, image.flip(-1)]) if self._mirrored else image
        seen = [self._network(images, scale)[:, 0].float() for scale in self._scales]
        mean = seen[0] if len(seen) == 1 else torch.stack(seen).mean(dim=0)
        return (mean[0] + mean[1].flip(-1)) / 2 if self._mirrored else mean[0]


def load_affinity(
    path: str | Path, device: str = "auto", precision: str = "auto"
) -> AffinityPredictor:
    """Return the predictor of a folder that `train_affinity` wrote.

    Args:
        path: the folder.
        device: as in `ggn.engine.devices`.
        precision: as in `AffinityParams`.

    Raises:
        WeightsError: the folder is not an affinity network.
        ValueError: there is no such device.
    """
    chosen = chosen_device(device)
    state, card = load_weights(path, kind="affinity")
    try:
        params = AffinityParams.model_validate(card.get("params"))
        network = AffinityNet(params)
        network.load_state_dict(state)
    except (ValidationError, RuntimeError) as error:
        raise WeightsError(
            f"{path}: card and weights do not describe an affinity network: {error}"
        ) from error
    scales, mirrored = params.prediction_scales, params.prediction_mirrored
    return AffinityPredictor(network, chosen, precision, scales, mirrored)
