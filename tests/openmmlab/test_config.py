"""Configs are read as mmcv reads them, but not run."""

from pathlib import Path
from typing import Any

import pytest

from ggn.openmmlab.config import ConfigError, read_config


def written(folder: Path, name: str = "config.py", text: str = "") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'text'", "text"),
        ("(1, -2, 3.5, None, True)", (1, -2, 3.5, None, True)),
        ("dict(a=1, b=[dict(c=2)])", {"a": 1, "b": [{"c": 2}]}),
        ("{'a': 1, **dict(b=2), 'a': 3}", {"a": 3, "b": 2}),
        ("root + 'train.json'", "data/train.json"),
        ("dict(norm, eps=1e-5)", ConfigError),  # a positional argument
        ("dict(**norm, eps=1e-5)", {"mean": 0, "eps": 1e-5}),
        ("[1] + [2]", [1, 2]),
        ("0.02 / 16 * 2", 0.0025),
        ("range(0, 8)", range(8)),
        ("range(8)", range(8)),
        ("range(0, 10 ** 12)", ConfigError),
        ("range(0, 1, 0)", ConfigError),
        ("range('a')", ConfigError),
        ("[(1333, (640, 800)), ((1,), ())]", [(1333, (640, 800)), ((1,), ())]),
        ('"double" " and " \'single\'', "double and single"),
        ("f'{root}train.json'", "data/train.json"),
        ("f'{norm}'", ConfigError),
        ("f'{root!r}'", ConfigError),
        ("f'{root:>99999999999}'", ConfigError),
        ("norm['mean']", 0),
        ("[1, 2][-1]", 2),
        ("norm['std']", ConfigError),
        ("[1, 2][9]", ConfigError),
        ("{'a-b': {1: 2}}", {"a-b": {1: 2}}),
        ("{(1, [2]): 3}", ConfigError),
        ("list(range(3))", ConfigError),
    ],
)
def test_values(tmp_path: Path, expression: str, value: Any) -> None:
    path = written(tmp_path, text=f"root = 'data/'\nnorm = dict(mean=0)\nx = {expression}\n")
    if value is ConfigError:
        with pytest.raises(ConfigError, match=r"line 3: `.*` (is not|needs) "):
            read_config(path)
    else:
        assert read_config(path)["x"] == value


def test_a_dict_is_merged_with_the_one_it_inherits(tmp_path: Path) -> None:
    written(tmp_path, "base/a.py", "model = dict(neck=dict(type='FPN', num_outs=5), depth=50)")
    written(tmp_path, "base/b.py", "_base_ = './c.py'\nlr = 2")
    written(tmp_path, "base/c.py", "lr = 1\nepochs = 8")
    text = "model = dict(neck=dict(num_outs=4), head=dict(_delete_=True, type='RPN'))"
    path = written(tmp_path, text=f"_base_ = ['base/a.py', 'base/b.py']\n{text}\n")
    assert read_config(path) == {
        "model": {"neck": {"type": "FPN", "num_outs": 4}, "depth": 50, "head": {"type": "RPN"}},
        "lr": 2,
        "epochs": 8,
    }
    path.write_text("_base_ = 'base/a.py'\nmodel = dict(neck=dict(_delete_=True, type='PAFPN'))")
    assert read_config(path)["model"] == {"neck": {"type": "PAFPN"}, "depth": 50}


def test_one_value_may_have_two_names(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, text="a = b = [1]")) == {"a": [1], "b": [1]}


def test_the_variables_that_stand_for_the_file(tmp_path: Path) -> None:
    text = "x = '{{ fileDirname }}/{{fileBasenameNoExtension}}'\ny = '{{ other }}'"
    path = written(tmp_path, text=text)
    assert read_config(path) == {"x": f"{tmp_path}/config", "y": "{{ other }}"}


CHANGES = [
    "",
    "model = dict(neck=dict(_delete_=True, type='PAFPN'), pretrained=None)",
    "data = dict(train=dict(pipeline=[dict(type='RandomFlip', flip_ratio=0.5)]))",
    "optimizer = dict(lr=0.02 / 8, paramwise_cfg={'custom_keys': dict(a=-1)})",
]


@pytest.mark.openmmlab
def test_equals_what_mmcv_reads(config: Path) -> None:
    mmcv = pytest.importorskip("mmcv", reason="needs mmcv-full: make openmmlab")
    text = config.read_text()
    for change in CHANGES:
        config.write_text(text + change)
        expected = mmcv.Config.fromfile(str(config))._cfg_dict.to_dict()
        assert read_config(config) == expected, change


RUNS = [
    "import os\nos.system('touch pwned')",
    "open('pwned', 'w')",
    "x = open('pwned', 'w')",
    "x = [open('pwned', 'w')]",
    "x = dict(a=__import__('os').system('touch pwned'))",
    "x = (lambda: open('pwned', 'w'))()",
    "x = [open('pwned', 'w') for _ in range(1)]",
    'x = f\'{open("pwned", "w")}\'',
    "if open('pwned', 'w'):\n    x = 1",
    "@open('pwned', 'w').write\ndef f(): ...",
    "x: open('pwned', 'w') = 1",
    "x = 'a' * 10**12",
    "x = 9 ** 9 ** 9",
    "x = {{_base_.y}}",
    "x = 1 / 0",
    "x = y",
    "x.y = 1",
]


@pytest.mark.parametrize("text", RUNS)
def test_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, text=text)
    with pytest.raises(ConfigError, match=r"config\.py, line [12]: "):
        read_config(path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = dict(", r"config\.py: not a config: .*never closed"),
        ("x = " + "[" * 1000 + "]" * 1000, r"config\.py"),
        ("x = " + "-" * 50_000 + "1", r"config\.py"),
        ("x = '\0'", r"config\.py: not a config: .*null"),
        ("_base_ = 'absent.py'", r"absent\.py: no such file, which .*config\.py names as _base_"),
        ("_base_ = 'config.py'", r"inherits from itself: .*config\.py -> .*config\.py"),
        ("_base_ = 'other.py'", r"config\.py: inherits from itself: .*other\.py -> "),
        ("_base_ = 3", "_base_ must be a path or a list of paths, got 3"),
        ("_base_ = ['a.py', 'b.py']", "two files of _base_ set lr"),
        ("_base_ = 'a.py'\nlr = dict(x=1)", "lr is a dict, but inherits 1"),
        ("x = dict(**3)", r"`\*\*3` is not a dict"),
    ],
)
def test_refusals_name_file_and_reason(tmp_path: Path, text: str, message: str) -> None:
    for name in ("a.py", "b.py"):
        written(tmp_path, name, "lr = 1")
    written(tmp_path, "other.py", "_base_ = 'config.py'")
    with pytest.raises(ConfigError, match=message):
        read_config(written(tmp_path, text=text))


@pytest.mark.parametrize("name", ["absent.py", "config.yaml", "config.py"])
def test_files_of_another_kind_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.yaml").write_text("!!python/object/apply:os.system ['touch pwned']")
    (tmp_path / "config.py").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(ConfigError, match=name):
        read_config(tmp_path / name)
