"""The defaults are the reference's recipe; ours has a name; faulty values are refused."""

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from ggn.affinity.params import NAMED_RECIPES, AffinityParams


def test_defaults_are_the_reference_recipe() -> None:
    params = AffinityParams()
    assert (params.epochs, params.milestones, params.gamma) == (20, [15], 0.1)
    assert (params.lr, params.batch_size, params.lr_batch_size) == (0.02, 8, 8)
    assert (params.pos_weight, params.pool_channels, params.head_channels) == (0.05, 512, 256)
    assert (params.flip, params.scale_range, params.crop_size) == (False, [1, 1], None)
    assert (params.backbone.name, params.backbone.frozen_stages) == ("resnet50", 0)


def test_the_reference_recipe_has_none_of_ours() -> None:
    params = AffinityParams()
    assert params == AffinityParams(recipe="reference")
    assert (params.recipe, params.head, params.loss) == ("reference", "upernet", "soft")
    assert (params.object_crop_share, params.colour_jitter) == (0, 0)
    assert (params.prediction_scales, params.prediction_mirrored) == ([1.0], False)


def test_one_name_selects_our_recipe_and_what_is_given_goes_first() -> None:
    params = AffinityParams(recipe="photographs")
    for key, value in NAMED_RECIPES["photographs"].items():
        if key != "backbone":
            assert getattr(params, key) == value, key
    assert params.backbone.norm == "frozen_batch"
    assert params.backbone.name == "resnet50", "what the recipe leaves out keeps its default"
    own = AffinityParams.model_validate(
        {"recipe": "photographs", "lr": 0.5, "backbone": {"name": "resnet18"}}
    )
    assert (own.lr, own.optimizer) == (0.5, "adamw")
    assert (own.backbone.name, own.backbone.norm) == ("resnet18", "frozen_batch")


@pytest.mark.parametrize(
    "params",
    [
        AffinityParams(crop_size=64, scale_range=[0.5, 2]),
        AffinityParams(recipe="photographs", lr=0.5),
    ],
)
def test_params_survive_json(params: AffinityParams) -> None:
    assert AffinityParams.model_validate(json.loads(json.dumps(params.model_dump()))) == params


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pos_weight": 0}, "greater than 0"),
        ({"scale_range": [2.0, 0.5]}, r"both > 0, got \[2.0, 0.5\]"),
        ({"scale_range": [0.0, 1.0]}, "both > 0"),
        ({"scale_range": [1.0]}, "at least 2 items"),
        ({"crop_size": 16}, "greater than or equal to 32"),
        ({"pool_channels": 30}, "multiple of 4"),
        ({"pool_norm": "frozen_batch"}, "'group' or 'batch'"),
        ({"flip": 1}, "valid boolean"),
        ({"flip": "yes"}, "valid boolean"),
        ({"backbone": {"name": "vgg16"}}, "'resnet10'"),
        ({"backbone": {"depth": 18}}, "Extra inputs"),
        ({"class_weight": 0.05}, "Extra inputs"),
        ({"recipe": "photos"}, "'reference' or 'photographs'"),
        ({"recipe": "photographs", "lr": 0}, "greater than 0"),
        ({"recipe": "photographs", "learning_rate": 1.0}, "Extra inputs"),
        ({"loss": "hed"}, "'soft' or 'balanced'"),
        ({"object_crop_share": 0.8}, "needs a crop_size"),
        ({"colour_jitter": 1.0}, "less than 1"),
        ({"prediction_scales": []}, "at least 1 item"),
        ({"prediction_scales": [1.0, 1.0]}, r"different, each 0.1 to 8, got \[1.0, 1.0\]"),
        ({"prediction_scales": [0.0]}, "each 0.1 to 8"),
    ],
)
def test_refuses(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AffinityParams.model_validate(given)


def test_params_need_no_torch() -> None:
    check = "import ggn.affinity.params, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_the_package_exports_what_it_names() -> None:
    import ggn.affinity

    for name in ggn.affinity.__all__:
        assert getattr(ggn.affinity, name).__name__ == name
    with pytest.raises(AttributeError, match="attribute trained"):
        ggn.affinity.trained  # noqa: B018
