"""MLflow's pages as a person sees them, in headless Chromium.

With GGN_SCREENSHOTS=FOLDER the pages are drawn there as PNG.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ggn.core.coco import read_json
from ggn.evaluation.comparison import Comparison
from ggn.tracking.backend import ZOO
from ggn.tracking.published import import_published
from ggn.tracking.rows import record_row
from ggn.zoo.numbers import PUBLISHED

mlflow = pytest.importorskip("mlflow", reason="needs ggn[mlops]")
webdriver = pytest.importorskip("selenium.webdriver", reason="needs ggn[dev]")

ROOT = Path(__file__).parents[2]
REPORTS = ROOT / "reports" / "shapes"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-device-scale-factor=1",
    "--window-size=1500,950",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs Debian's chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    service = webdriver.ChromeService(executable_path=driver)
    opened = webdriver.Chrome(options=options, service=service)
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def zoo(running_server: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the zoo's table: the recorded row `shapes`, beside the published numbers."""
    found = Comparison.of_report(read_json(REPORTS / "comparison.json"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("checkout"))
        patch.setenv("MLFLOW_TRACKING_URI", running_server.url)
        for recipe in found.metrics:
            record_row(
                "shapes",
                recipe,
                found.tracked(recipe),
                protocol=found.protocol,
                tags={"stage": "compare"},
                params={},  # so that the pages draw what both kinds have: the protocol
                pictures=[REPORTS / "gallery.png"],
            )
        return import_published(PUBLISHED)[2]


def text_of(browser: Any, *words: str) -> str:
    """Wait until the page shows all words and return what it shows."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def shown(_: Any) -> str | None:
        text = str(browser.find_element(By.TAG_NAME, "body").text)
        return text if all(word in text for word in words) else None

    try:
        return str(WebDriverWait(browser, 90, ignored_exceptions=[Exception]).until(shown))
    except Exception as error:
        body = browser.find_element(By.TAG_NAME, "body").text
        raise AssertionError(f"{browser.current_url} lacks one of {words}:\n{body}") from error


def draw(browser: Any, name: str) -> None:
    folder = os.environ.get("GGN_SCREENSHOTS")
    if folder is not None:
        closing = "[data-component-id='mlflow.assistant.chat_panel.close']"
        for button in browser.find_elements("css selector", closing):
            button.click()
            time.sleep(2)  # the page draws itself anew
        browser.save_screenshot(str(Path(folder) / f"mlflow-{name}.png"))


def runs_by_name(server: Any) -> dict[str, Any]:
    client = mlflow.MlflowClient(server.url)
    experiment = client.get_experiment_by_name(ZOO).experiment_id
    return {run.info.run_name: run.info for run in client.search_runs([experiment])}


COMPARED = [
    *("shapes baseline", "shapes ggn"),
    *("coco_voc GGN (published)", "coco_voc v-CLR (published)"),
]


def test_the_table_shows_our_runs_and_published_ones_by_row(browser: Any, zoo: str) -> None:
    browser.set_window_size(2000, 1600)  # the page has only what it shows
    browser.get(zoo)
    groups = ("Group: shapes", "Group: coco_voc")
    names = ("shapes baseline", "shapes ggn", "coco_voc GGN (published)")
    text = text_of(browser, *groups, *names, "mask_AR_100", "protocol")
    draw(browser, "table")
    of_voc = text.split("Group: coco_voc")[1].split("Group: ")[0]  # MLflow sets the groups' order
    assert "coco_voc GGN (published)" in of_voc
    assert "shapes ggn" not in of_voc
    assert "published" in text
    assert "budget" in text


def test_the_compare_page_draws_its_chart(browser: Any, zoo: str, running_server: Any) -> None:
    browser.set_window_size(1500, 950)
    runs = runs_by_name(running_server)
    chosen = [runs[name] for name in COMPARED]
    ids = ",".join(f'"{run.run_id}"' for run in chosen)
    page = f"{running_server.url}/#/compare-runs?runs=[{ids}]&experiments="
    browser.get(f'{page}["{chosen[0].experiment_id}"]')
    text_of(browser, *COMPARED)
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    drawn = "svg.main-svg path, .js-plotly-plot canvas"
    WebDriverWait(browser, 60).until(lambda b: b.find_elements(By.CSS_SELECTOR, drawn))
    draw(browser, "compare")


def test_a_runs_page_shows_its_gallery(browser: Any, zoo: str, running_server: Any) -> None:
    run = runs_by_name(running_server)["shapes ggn"]
    browser.get(
        f"{running_server.url}/#/experiments/{run.experiment_id}/runs/{run.run_id}"
        "/artifacts/gallery.png"
    )
    text_of(browser, "gallery.png", "recall.png")
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def loaded(b: Any) -> bool:
        sizes = "return [...document.images].map(i => i.naturalWidth)"
        return max(b.execute_script(sizes), default=0) > 500

    WebDriverWait(browser, 60).until(loaded)
    assert browser.find_elements(By.CSS_SELECTOR, "img")
    draw(browser, "gallery")
