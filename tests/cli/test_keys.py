"""docs/params.md is what params.py says, and every key is explained."""

import re
from pathlib import Path

from ggn.cli.keys import keys_page

PAGE = Path(__file__).parents[2] / "docs" / "params.md"


def rows_of(page: str) -> list[str]:
    return [line for line in page.splitlines() if re.match(r"\| `", line)]


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == keys_page(), "`make keys` writes it anew"


def test_rows_by_hand() -> None:
    rows = {row.split("|")[1].strip(): row.split(" | ") for row in rows_of(keys_page())}
    assert rows["`nms_iou`"][1:3] == ["number, ≥\N{NO-BREAK SPACE}0, ≤\N{NO-BREAK SPACE}1", "`0.7`"]
    assert rows["`heads`"][1:3] == ["`mask_rcnn`, `oln`", "`mask_rcnn`"]
    assert rows["`mask`"][1:3] == ["mapping or `null`", "as below"]
    assert rows["`min_score`"][1:3] == ["number or `null`", "`null`"]


def test_every_key_is_explained() -> None:
    tables = rows_of(keys_page())
    assert len(tables) > 100
    assert [row for row in tables if row.split(" | ")[-1].strip(" |") == ""] == []
