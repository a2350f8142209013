"""What both trainings share has the reference's defaults; faulty values are refused."""

import json

import pytest
from pydantic import ValidationError

from ggn.engine.params import BackboneParams, TrainingParams


def test_defaults_are_the_reference_recipe() -> None:
    params = TrainingParams()
    assert (params.lr, params.momentum, params.weight_decay) == (0.02, 0.9, 1e-4)
    assert (params.warmup_steps, params.warmup_factor) == (500, 0.001)


def test_params_survive_json() -> None:
    params = TrainingParams(milestones=[1, 2.5], gradient_clip=3)
    assert TrainingParams.model_validate(json.loads(json.dumps(params.model_dump()))) == params


def test_an_option_that_is_off_is_in_no_card() -> None:
    """Otherwise a new option would change the card of every model that doesn't use it."""
    assert "inverted_share" not in TrainingParams().model_dump()
    assert TrainingParams(inverted_share=0.5).model_dump()["inverted_share"] == 0.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"inverted_share": 1.5}, "less than or equal to 1"),
        ({"lr": 0}, "greater than 0"),
        ({"lr": "0.02"}, "valid number"),
        ({"epochs": -1}, "greater than 0"),
        ({"batch_size": 2.0}, "valid integer"),
        ({"batch_size": 0}, "greater than or equal to 1"),
        ({"lr_batch_size": 0}, "greater than or equal to 1"),
        ({"momentum": 1}, "less than 1"),
        ({"warmup_factor": 0}, "greater than 0"),
        ({"schedule": "linear"}, "'steps' or 'cosine'"),
        ({"milestones": [6, 3]}, "ascending order"),
        ({"milestones": [3, 3]}, "ascending order"),
        ({"milestones": [0]}, "positive epochs"),
        ({"precision": "bf16"}, "'auto'"),
        ({"learning_rate": 0.1}, "Extra inputs are not permitted"),
    ],
)
def test_refuses(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainingParams.model_validate(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "resnet152"}, "'resnet10'"),
        ({"width": 6}, "multiple of 4"),
        ({"weights": None, "frozen_stages": 1}, "frozen_stages must be 0"),
        ({"weights": None, "norm": "frozen_batch"}, "needs pretrained weights"),
        ({"frozen_stages": 5}, "less than or equal to 4"),
    ],
)
def test_refuses_a_backbone(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        BackboneParams.model_validate(given)
