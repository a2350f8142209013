"""Configs as users change them: what has no effect is silent, what has is in the split."""

from pathlib import Path
from typing import Any

import pytest

from ggn.openmmlab import read_config
from ggn.openmmlab.recipe import translate

CONFIGS = Path(__file__).parent / "configs"


def written(folder: Path, base: str, text: str) -> Path:
    """A config over one of ours, in another folder."""
    path = folder / "mine.py"
    path.write_text(f"_base_ = '{CONFIGS / f'{base}.py'}'\n{text}\n")
    return path


SAME = {
    "goes on": "resume_from = '/scratch/me/latest.pth'\nload_from = 'epoch_3.pth'\nseed = 3",
    "loggers": "log_config = dict(interval=50, hooks=[dict(type='WandbLoggerHook', "
    "init_kwargs=dict(project='open-world', tags=('a', ('b', 'c'))))])",
    "evaluates": "evaluation = dict(interval=4, metric='segm', save_best='segm_mAP')",
    "validates": "workflow = [('train', 3), ('val', 1)]\ncheckpoint_config = dict(interval=2)",
    "imports": "custom_imports = dict(imports=['my.heads'], allow_failed_imports=False)",
    "hooks": "custom_hooks = [dict(type='NumClassCheckHook')]\nfp16 = None",
    "machines": "dist_params = dict(backend='gloo', port=29501)\nopencv_num_threads = 0",
    "classes": f"CLASSES = {tuple(f'class {i}' for i in range(1203))}\nwork_dir = 'x' 'y'",
    "runner": "runner = dict(type='EpochBasedRunner', max_epochs=8)",
    "older": "train_cfg = dict(rcnn=dict(mask_size=28))\ntest_cfg = dict(rcnn=dict(score_thr=0.0))",
    "loaders": "data = dict(workers_per_gpu=16, pin_memory=True, persistent_workers=True)",
    "images": "data = dict(val=dict(pipeline=[dict(type='LoadImageFromFile', to_float32=True), "
    "dict(type='MultiScaleFlipAug', img_scale=(800, 1333), flip=False, transforms=[])]))",
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_what_changes_no_result_changes_nothing_and_is_not_mentioned(
    tmp_path: Path, text: str
) -> None:
    base = translate(read_config(CONFIGS / "mask_rcnn.py"), "detector")
    assert translate(read_config(written(tmp_path, "mask_rcnn", text)), "detector") == base


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("gpu_ids = range(0, 1)", {"batch_size": 2}),
        ("gpu_ids = range(4)\ndata = dict(samples_per_gpu=4)", {"batch_size": 16}),
        ("lr_config = dict(_delete_=True, policy='step', step=2)", {"milestones": [2, 4, 6]}),
        ("total_epochs = 24\nlr_config = dict(step=[16, 22])", {"epochs": 24}),
        (
            "model = dict(test_cfg=dict(rcnn=dict(max_per_img=100)))",
            {"detection.max_detections": 100},
        ),
        (
            "model = dict(backbone=dict(depth=101), pretrained='torchvision://resnet101')",
            {"backbone.name": "resnet101", "backbone.weights": "imagenet"},
        ),
    ],
)
def test_what_changes_a_result_is_in_the_split(
    tmp_path: Path, text: str, changed: dict[str, Any]
) -> None:
    recipe = translate(read_config(written(tmp_path, "mask_rcnn", text)), "detector")
    assert {key: recipe.values[f"detector.{key}"] for key in changed} == changed
    assert recipe.unsupported == []


@pytest.mark.parametrize(
    "name", ["affinity", "extraction", "mask_rcnn_gn_online", "oln_mask", "mine/style"]
)
def test_the_order_of_the_keys_does_not_matter(tmp_path: Path, name: str) -> None:
    """Every dict turned round, and written as `{…}` with double quotes instead of `dict(…)`."""

    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(entry) for key, entry in reversed(value.items())}
        return type(value)(map(turned, value)) if isinstance(value, list | tuple) else value

    values = read_config(CONFIGS / f"{name}.py")
    lines = [f"{key} = {value!r}" for key, value in turned(values).items()]
    path = tmp_path / "turned.py"
    path.write_text("\n".join(lines).replace("'", '"'))
    assert read_config(path) == values
    kind = "affinity" if name in ("affinity", "extraction") else "detector"
    ours, theirs = (translate(v, kind, "oln" in name) for v in (read_config(path), values))
    assert ours.values == theirs.values
    assert sorted(ours.unsupported) == sorted(theirs.unsupported)
