"""Detections in images, from trained weights."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from ggn.core import Instances
from ggn.core.masks import areas
from ggn.data.transforms import ResizeToFit
from ggn.detector.mask_rcnn import MaskRCNN
from ggn.detector.params import DetectorParams
from ggn.detector.paste import encode_boxes, encode_masks
from ggn.detector.roi_heads import ScoredBoxes
from ggn.engine.devices import chosen_device
from ggn.engine.inference import image_tensor, inference
from ggn.engine.precision import half_dtype, warn_if_emulated
from ggn.engine.weights import WeightsError, load_weights


class Detector:
    """A trained detector on a device.

    `precision` as in `DetectorParams`; boxes, scores and masks are always computed in float32.
    """

    def __init__(self, network: MaskRCNN, device: str = "cpu", precision: str = "auto") -> None:
        self._device = torch.device(device)
        self._network = network.eval().to(self._device).to(memory_format=torch.channels_last)
        longest, shortest = network.params.max_size
        self._resize = ResizeToFit((longest, shortest))
        self._half = half_dtype(precision)
        warn_if_emulated(precision, self._device.type)

    @property
    def params(self) -> DetectorParams:
        """Params of the network."""
        return self._network.params

    def predict(self, image: NDArray[np.uint8], resize: bool = True) -> Instances:
        """Return the objects found in an RGB image uint8 (H, W, 3), best first, at its own size.

        The image is resized as in training, or not at all. There are at most
        `detection.max_detections` objects; those whose masks have no pixels at this size are left
        out. A detector without a mask head returns whole boxes as masks.
        """
        return self.predict_batch([image], resize)[0]

    def predict_batch(
        self, images: Sequence[NDArray[np.uint8]], resize: bool = True
    ) -> list[Instances]:
        """Return what `predict` finds in each image.

        Images of one size in the network share a forward pass, which is faster on a GPU. It may
        round differently from that of a single image, so scores may differ in their last digits.
        """
        seen = [self._seen(image, resize) for image in images]
        found: dict[int, Instances] = {}
        for size in dict.fromkeys(pixels.shape for pixels, _ in seen):
            alike = [index for index, (pixels, _) in enumerate(seen) if pixels.shape == size]
            with inference(self._device, self._half):
                each = self._network.detect_each(
                    [seen[index][0] for index in alike], [seen[index][1] for index in alike]
                )
                for index, (detections, probabilities) in zip(alike, each, strict=True):
                    found[index] = self._instances(detections, probabilities, seen[index][1])
        return [found[index] for index in range(len(images))]

    def _instances(
        self, found: ScoredBoxes, probabilities: Tensor | None, size_hw: tuple[int, int]
    ) -> Instances:
        """Return the detections with pixels, as run-length masks of an image of `size_hw`."""
        threshold = self._network.params.detection.mask_threshold
        boxes = found.boxes_xyxy.cpu().numpy()
        if probabilities is None:
            masks = encode_boxes(boxes, size_hw)
        else:
            masks = encode_masks(probabilities.cpu().numpy(), boxes, size_hw, threshold)
        instances = Instances(masks, found.scores.cpu().numpy(), size_hw)
        return instances[areas(masks) > 0]

    def rate_boxes(
        self, image: NDArray[np.uint8], boxes_xyxy: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Rate given boxes, such as those of candidate segments, with an OLN's heads.

        Args:
            image: RGB, uint8 (H, W, 3); resized as in training.
            boxes_xyxy: float32 (N, 4), in pixels of the image.

        Returns:
            float32 (N,) each, in [0, 1]: the square root of the IoU that the box head predicts, and
            the centerness of the anchor that overlaps the box most.

        Raises:
            ValueError: this is not an OLN, the image is not RGB, or the boxes are not (N, 4).
        """
        if boxes_xyxy.ndim != 2 or boxes_xyxy.shape[1] != 4:
            raise ValueError(f"boxes_xyxy must be (N, 4), got {boxes_xyxy.shape}")
        seen, size_hw = self._seen(image)
        boxes = torch.tensor(boxes_xyxy, dtype=torch.float32)
        with inference(self._device, self._half):
            ratings = self._network.rate_boxes(seen, boxes.to(self._device), size_hw)
        iou, centerness = (rating.cpu().numpy() for rating in ratings)
        return iou, centerness

    def _seen(
        self, image: NDArray[np.uint8], resize: bool = True
    ) -> tuple[Tensor, tuple[int, int]]:
        """Return the image for the network, uint8 (3, H, W) on the device, and its own size."""
        pixels = image_tensor(image)
        seen = self._resize(pixels, {})[0] if resize else pixels
        return seen.to(self._device), (image.shape[0], image.shape[1])


def load_detector(path: str | Path, device: str = "auto", precision: str = "auto") -> Detector:
    """Return the detector of a folder that `train_detector` wrote.

    Args:
        path: of the folder.
        device: as in `ggn.engine.devices`.
        precision: as in `DetectorParams`.

    Raises:
        WeightsError: it holds no detector.
        ValueError: there is no such device.
    """
    chosen = chosen_device(device)
    state, card = load_weights(path, kind="detector")
    try:
        network = MaskRCNN(DetectorParams.model_validate(card.get("params")))
        network.load_state_dict(state)
    except (ValidationError, RuntimeError) as error:
        raise WeightsError(
            f"{path}: card and weights do not describe a detector: {error}"
        ) from error
    return Detector(network, chosen, precision)
