import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from ggn.affinity.params import AffinityParams


def test_defaults_are_the_reference_recipe() -> None:
    params = AffinityParams()
    assert (params.epochs, params.milestones, params.gamma) == (20, [15], 0.1)
    assert (params.lr, params.batch_size, params.lr_batch_size) == (0.02, 8, 8)
    assert (params.pos_weight, params.pool_channels, params.head_channels) == (0.05, 512, 256)
    assert (params.flip, params.scale_range, params.crop_size) == (False, [1, 1], None)
    assert (params.backbone.name, params.backbone.frozen_stages) == ("resnet50", 0)


def test_params_survive_json() -> None:
    params = AffinityParams(crop_size=64, scale_range=[0.5, 2])
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
    with pytest.raises(AttributeError, match="has no attribute 'trained'"):
        ggn.affinity.trained  # noqa: B018
