"""Affinity maps of images, from trained weights."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.engine.backbone import normalise
from ggn.engine.trainer import choose_precision
from ggn.engine.weights import load_weights


class AffinityPredictor:
    """A trained affinity network on a device.

    `precision` as in `AffinityParams`; the last layer and the upsampling are always float32.
    """

    def __init__(self, network: AffinityNet, device: str = "cpu", precision: str = "auto") -> None:
        self._device = torch.device(device)
        self._network = network.eval().to(self._device).to(memory_format=torch.channels_last)
        self._half = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(
            choose_precision(precision)
        )

    def predict(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the affinity (H, W), float32 in [0, 1], of an RGB image uint8 (H, W, 3).

        1 is inside an object, 0 on a boundary; any size from 1×1 on, as it is, without padding.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise ValueError(f"image must be uint8 (H, W, 3), got {image.dtype} {image.shape}")
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).unsqueeze(0)
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, dtype=self._half, enabled=self._half is not None),
        ):
            logits = self._network(normalise(pixels.to(self._device)))
        affinity: NDArray[np.float32] = logits[0, 0].float().sigmoid().cpu().numpy()
        return affinity


def load_affinity(
    path: str | Path, device: str = "cpu", precision: str = "auto"
) -> AffinityPredictor:
    """Return the predictor of a folder that `train_affinity` wrote.

    Raises ggn.engine.weights.WeightsError, naming the file, if that is not what the folder holds.
    """
    state, card = load_weights(path, kind="affinity")
    network = AffinityNet(AffinityParams.model_validate(card["params"]))
    network.load_state_dict(state)
    return AffinityPredictor(network, device, precision)
