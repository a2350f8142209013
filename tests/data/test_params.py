"""The data section of params.yaml says what is allowed."""

from typing import Any

import pytest
from pydantic import ValidationError

from ggn.data.params import DataParams


def test_a_coco_style_dataset_needs_only_a_root() -> None:
    params = DataParams(root="data/raw/coco")
    assert params.source == "coco"
    assert params.seen == "voc"
    assert params.unseen == "others"
    assert params.train_annotations == "annotations/instances_train2017.json"


def test_the_synthetic_dataset_needs_no_root() -> None:
    assert DataParams(source="shapes", seen="all").root == ""


@pytest.mark.parametrize("spec", ["nonvoc", ["cat", "dog"], [1, 2], ["cat", 2]])
def test_categories_by_partition_names_and_ids(spec: Any) -> None:
    params = DataParams.model_validate({"root": "x", "seen": spec, "unseen": spec})
    assert params.seen == params.unseen == spec


PARTITIONS = "all, voc, nonvoc, person, nonperson, coco, noncoco"


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({"root": ""}, "", "root must be given, the folder of the dataset on disk"),
        ({"source": "lvis"}, "source", "Input should be 'coco' or 'shapes'"),
        ({"rooot": "x"}, "rooot", "Extra inputs are not permitted"),
        ({"seen": "vocs"}, "seen", f"must be one of {PARTITIONS}, or a list of category names"),
        ({"seen": "others"}, "seen", f"must be one of {PARTITIONS}, or a list of category names"),
        ({"unseen": "cat"}, "unseen", f"must be one of {PARTITIONS}, others, or a list of"),
        ({"seen": []}, "seen", "or a list of category names and ids"),
        ({"seen": [True]}, "seen", "or a list of category names and ids"),
        ({"seen": [1.0]}, "seen", "or a list of category names and ids"),
        ({"seen": None}, "seen", "or a list of category names and ids"),
        ({"max_train_images": 0}, "max_train_images", "greater than or equal to 1"),
        ({"max_val_images": True}, "max_val_images", "valid integer"),
        ({"drop_faulty": "yes"}, "drop_faulty", "valid boolean"),
        ({"train_images": ""}, "train_images", "at least 1 character"),
        ({"shapes": {"max_size": 9000}}, "shapes.max_size", "less than or equal to"),
    ],
)
def test_refusals_name_the_key(changes: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        DataParams.model_validate({"root": "x", **changes})
    (fault,) = refusal.value.errors()
    assert ".".join(str(part) for part in fault["loc"]) == key
    assert message in fault["msg"]
