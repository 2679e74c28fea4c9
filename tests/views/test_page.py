"""The report to send: one file that loads nothing, with the figures of the results."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tiny
from bs4 import BeautifulSoup
from bs4.element import Tag
from PIL import Image

from retrieval.artifacts.store import Store
from retrieval.evaluation.results import SHOWN, keep, load_reported, measure, read_results, title
from retrieval.settings import PROJECT
from retrieval.views import feature_map, page

CATEGORIES = [*tiny.COLOURS]
WIDE, PHONE = (1200, 900), (390, 844)


def build(folder: Path, categories: list[str], *, methods: tuple[str, ...], comparable: bool = False) -> Path:
    """Five images a category, with random features and their results; the first method is the best."""
    settings = {"split": "grouped", "seed": 0, "epochs": 1, "precision": "float32"}
    rng, store = np.random.default_rng(0), Store(folder / "artifacts", settings)
    files = {part: [] for part in ("train", "test")}
    for category in categories:
        for number in range(5):
            file = f"{category}/{'script>/' if category == tiny.HOSTILE else ''}{number}.png"
            (folder / "photos" / file).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (8, 8, 3)).astype(np.uint8)).save(folder / "photos" / file)
            files["train" if number else "test"].append(file)
    index, queries = (np.array([file.partition("/")[0] for file in part]) for part in files.values())
    for part, labels in (("train", index), ("test", queries)):
        store.save(f"{part}_index_file.json", dict(enumerate(files[part])))
        store.save(f"{part}_index_category.json", dict(enumerate(labels.tolist())))
        store.save(f"{part}_index_group.json", dict(enumerate(range(len(labels)))))
    data = {"name": "photos", "images": 5 * len(categories), "categories": len(categories)}
    store.save("dataset.json", data | {"sha256": "d" * 64, "comparable": comparable})
    store.save("weights.json", {"name": "random & packaged", "sha256": "e" * 64})
    centres = rng.normal(size=(len(categories), 16))
    for noise, method in enumerate(methods, start=1):
        for part, labels in (("train", index), ("test", queries)):
            own = centres[[categories.index(label) for label in labels]]
            features = (own + 0.4 * noise**2 * rng.normal(size=own.shape)).astype(np.float32)
            store.save(f"{method}_{part}.npy", features)
        train, test = store.part(method, "train"), store.part(method, "test")
        keep(store, method, measure(train, test, seed=0))
    return folder


def make_report(folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "retrieval.commands.report"],
        cwd=PROJECT / "notebooks",
        env={"ARTIFACTS": str(folder / "artifacts"), "DATA": str(folder / "photos")},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    methods = ("my_own", "mobilenetv2", "siamese_cnn")
    folder = build(tmp_path_factory.mktemp("page"), CATEGORIES, methods=methods, comparable=True)
    done = make_report(folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def html(project: Path) -> str:
    return (project / "artifacts" / "report.html").read_text("utf-8")


@pytest.fixture(scope="module")
def soup(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "html.parser")


def first_two(features: np.ndarray, *, seed: int) -> np.ndarray:
    """Replaces t-SNE if only the number of points matters."""
    return features[:, :2]


def results(project: Path) -> dict[str, dict]:
    return read_results(Store(project / "artifacts", {}))[0]


def rows(table: Tag) -> dict[str, list[str]]:
    """The cells of a table's body by what their row is called."""
    return {
        row.th.text: [" ".join(cell.text.split()) for cell in row.find_all("td")]
        for row in table.tbody.find_all("tr")
    }


def table(soup: BeautifulSoup, caption: str) -> Tag:
    return next(each.parent for each in soup.find_all("caption") if each.text.startswith(caption))


def with_ends(value: float, ends: list[float], digits: int) -> str:
    low, high = (f"{end:.{digits}f}" for end in ends)
    return f"{value:.{digits}f} [{low}, {high}]"


def test_nothing_is_loaded_from_elsewhere(html: str, soup: BeautifulSoup) -> None:
    assert "http:" not in html and "https:" not in html and "@import" not in html
    for tag in soup.find_all(src=True):
        assert tag["src"].startswith(("data:image/jpeg;base64,", "data:image/png;base64,"))
    assert not soup.find_all(["link", "iframe", "object", "base", "form"])
    for link in soup.find_all(href=True):
        assert soup.find(id=link["href"].removeprefix("#")), link["href"]
    assert "default-src 'none'" in soup.find("meta", attrs={"http-equiv": True})["content"]


def test_reported_beside_reproduced_are_the_numbers_of_the_results(
    project: Path, soup: BeautifulSoup
) -> None:
    shown, reported = rows(table(soup, "accuracy")), load_reported()["methods"]
    for name, result in results(project).items():
        theirs, ours, difference = shown[title(name)]
        assert ours == with_ends(result["accuracy"], result["accuracy_interval"], 3)
        if name in reported:
            assert theirs == f"{reported[name]['accuracy']:.3f}"
            assert difference == f"{result['accuracy'] - reported[name]['accuracy']:+.3f}"
        else:
            assert (theirs, difference) == ("", "")
    assert list(shown) == ["MobileNetV2", "Siamese CNN", "my own"]


def test_every_method_has_its_figures_with_intervals(project: Path, soup: BeautifulSoup) -> None:
    shown = rows(table(soup, "All figures"))
    for name, result in results(project).items():
        assert shown[title(name)] == [
            f"{result['precision_at']['1']:.3f}",
            with_ends(result["accuracy"], result["accuracy_interval"], 3),
            f"{result['precision_at']['10']:.3f}",
            *(f"{result[figure]:.3f}" for figure in ("r_precision", "map_at_r")),
            with_ends(result["map"], result["map_interval"], 3),
            with_ends(result["anmrr"], result["anmrr_interval"], 3),
        ]


def test_the_mean_of_the_worst_categories_has_its_interval(project: Path, soup: BeautifulSoup) -> None:
    shown = [each.text for each in soup.find_all("p") if each.text.startswith("Mean F1 of the worst five")]
    for text, result in zip(shown, results(project).values(), strict=True):
        assert text.endswith(with_ends(result["worst_f1"], result["worst_f1_interval"], 2))


def test_best_and_worst_categories_are_those_of_the_results(project: Path, soup: BeautifulSoup) -> None:
    for best, key in (("Best", "best_categories"), ("Worst", "worst_categories")):
        tables = [each.parent for each in soup.find_all("caption") if each.text == best]
        for shown, result in zip(tables, results(project).values(), strict=True):
            expected = {
                row["category"]: [f"{row[figure]:.2f}" for figure in ("precision", "recall", "f1")]
                for row in result[key]
            }
            assert list(rows(shown).items()) == list(expected.items())


def test_the_confusion_is_that_of_the_best_method(project: Path, soup: BeautifulSoup) -> None:
    shown = table(soup, "Retrieved")
    columns = [head.text for head in shown.thead.find_all("th")][1:]
    store, recall = Store(project / "artifacts", {}), {}
    for row in results(project)["my_own"]["worst_categories"]:
        recall[row["category"]] = f"{100 * row['recall']:.0f}"
    assert shown.caption.text == "Retrieved, % (my own)"
    for name, cells in rows(shown).items():
        assert cells[columns.index(name)] == recall[name] if name in columns else recall[name] == "0"
        assert sum(float(cell or 0) for cell in cells) == pytest.approx(100, abs=2)
    assert set(columns) <= set(store.categories("train"))


def test_every_picture_says_what_it_is(soup: BeautifulSoup) -> None:
    queries = soup.select(".query")
    assert queries
    for query in queries:
        asked, *found = query.find_all("img")
        category = asked["alt"].removeprefix("Query, labelled ")
        assert [head.text for head in query.find_all("h3")] == ["my own", "MobileNetV2"]
        assert len(found) == 2 * page.NEIGHBOURS
        for image in found:
            verdict, _, label = image["alt"].partition(", labelled ")
            assert verdict == ("Right" if label == category else "Wrong")
            assert image.find_parent("figure")["class"] == [verdict.lower()]


def test_names_are_never_code(html: str, soup: BeautifulSoup) -> None:
    assert tiny.HOSTILE not in html
    assert "&lt;script&gt;alert(1)&lt;" in html
    assert not soup.find_all("script")


def test_the_map_is_a_picture_and_a_table_says_the_same(soup: BeautifulSoup) -> None:
    picture = soup.select_one("img.map")
    with Image.open(BytesIO(b64decode(picture["src"].partition("base64,")[2]))) as image:
        assert image.format == "PNG" and min(image.size) > 800
    assert f"{len(CATEGORIES)} dots in {len(CATEGORIES)} colours" in picture["alt"]
    words = rows(table(soup, "Every category"))
    assert list(words) == sorted(CATEGORIES)
    for name, (_, instead, beside) in words.items():
        assert name not in beside.split(", ") and not instead.startswith(f"{name} ")


def test_more_images_than_the_map_takes_are_drawn_from(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MOST_POINTS", 3)
    monkeypatch.setattr(feature_map, "tsne", first_two)
    store, found = Store(project / "artifacts", {}), results(project)
    closeup = page.look_closely(store, project / "photos", found, seed=0)
    assert closeup["mapped"] == len(closeup["categories"]) == 3
    again = page.look_closely(store, project / "photos", found, seed=0)
    assert again["map"] == closeup["map"]
    assert f"3 of {len(CATEGORIES)}, drawn at random, test images" in page.render(found, (), closeup)


def report(folder: Path) -> tuple[str, BeautifulSoup]:
    """The page about a project, and its content."""
    store = Store(folder / "artifacts", {})
    found, problems = read_results(store)
    written = page.render(found, problems, page.look_closely(store, folder / "photos", found, seed=0))
    return written, BeautifulSoup(written, "html.parser")


def test_two_categories_of_other_images(tmp_path: Path) -> None:
    written, soup = report(build(tmp_path, ["cat", "dog"], methods=("mobilenetv2",)))
    assert {name: cells[2] for name, cells in rows(table(soup, "Every category")).items()} == {
        "cat": "dog",
        "dog": "cat",
    }
    assert "reported" not in table(soup, "accuracy").thead.text and "86.2" not in written


@pytest.mark.slow
def test_five_hundred_categories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_map, "tsne", first_two)
    names = [f"kind {number}" for number in range(500)]
    written, soup = report(build(tmp_path, names, methods=("mobilenetv2",)))
    assert len(rows(table(soup, "Every category"))) == 500
    assert len(rows(table(soup, "Retrieved"))) == SHOWN and len(written) < 15e6


def test_of_methods_that_tie_the_one_of_higher_map_is_looked_at(project: Path) -> None:
    store = Store(project / "artifacts", {})
    found = {name: values | {"accuracy": 0.5} for name, values in results(project).items()}
    found["siamese_cnn"]["map"] = max(values["map"] for values in found.values()) + 0.01
    closeup = page.look_closely(store, project / "photos", found, seed=0)
    assert closeup["method"] == "Siamese CNN" and closeup["tied"] == ["MobileNetV2", "my own"]
    written = page.render(found, (), closeup)
    assert "the highest P@3, together with MobileNetV2, my own; none of these has a higher mAP." in written
    # Equal but for rounding, in mAP as well: the first in the order of the report.
    found["mobilenetv2"]["map"] = 2.0
    found["siamese_cnn"] |= {"accuracy": 0.5 + 1e-15, "map": 2.0 + 1e-15}
    assert page.look_closely(store, project / "photos", found, seed=0)["method"] == "MobileNetV2"
    alone = page.look_closely(store, project / "photos", results(project), seed=0)
    assert not alone["tied"] and "the highest P@3. A row" in page.render(found, (), alone)


def test_without_features_the_page_says_what_is_missing(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "copy")
    (tmp_path / "copy/artifacts/my_own_test.npy").unlink()
    done = make_report(tmp_path / "copy")
    assert done.returncode == 0, done.stderr
    soup = BeautifulSoup((tmp_path / "copy/artifacts/report.html").read_text("utf-8"), "html.parser")
    missing = [item.text for item in soup.select("#basis ~ ul li")]
    assert any("my_own_test.npy is missing: run `make`" in line for line in missing)
    assert not soup.select("img.map") and len(rows(table(soup, "All figures"))) == 3


def test_without_results_one_line_says_what_to_run(tmp_path: Path) -> None:
    done = make_report(tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "run notebook 01" in done.stderr


@pytest.fixture(scope="module")
def browser() -> Iterator:
    pytest.importorskip("selenium", reason="needs selenium")
    from selenium import webdriver

    programs = [shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")]
    if None in programs:
        pytest.skip("needs Chromium and its chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs[1]))
    yield driver
    driver.quit()


@pytest.fixture
def show(browser, project: Path) -> Callable:
    """Opens the page in a window of a size, in light or dark, on a screen or on paper."""

    def show(size: tuple[int, int] = WIDE, *, scheme: str = "light", media: str = "screen"):
        width, height = size
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        browser.get((project / "artifacts" / "report.html").as_uri())
        return browser

    return show


@pytest.mark.slow
@pytest.mark.parametrize("size", [WIDE, PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(show: Callable, axe: str, scheme: str, size: tuple[int, int]) -> None:
    shown = show(size, scheme=scheme)
    shown.execute_script(axe)
    found = shown.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found["violations"]] == []
    assert "image-alt" in {rule["id"] for rule in found["passes"]}


@pytest.mark.slow
def test_the_browser_asks_for_nothing_and_reports_no_error(show: Callable) -> None:
    shown = show()
    shown.get_log("performance")
    shown = show()
    sent = [json.loads(entry["message"])["message"] for entry in shown.get_log("performance")]
    asked = {
        each["params"]["request"]["url"][:5] for each in sent if each["method"] == "Network.requestWillBeSent"
    }
    assert asked <= {"file:", "data:"} and "file:" in asked
    assert shown.get_log("browser") == []


@pytest.mark.slow
def test_a_phone_shows_the_page_without_scrolling_sideways(show: Callable) -> None:
    widths = show(PHONE).execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert widths == [PHONE[0]] * 2


@pytest.mark.slow
def test_the_ground_is_dark_in_dark_mode_and_white_on_paper(show: Callable) -> None:
    def ground(**options) -> int:
        colour = show(**options).execute_script("return getComputedStyle(document.body).backgroundColor")
        return int(re.findall(r"\d+", colour)[0])

    assert ground(scheme="dark") < 60 and ground(scheme="light") == 255
    assert ground(scheme="dark", media="print") == 255


@pytest.mark.slow
def test_paper_has_no_links_and_keeps_the_map(show: Callable) -> None:
    shown = show(media="print")
    assert not shown.find_element("css selector", "nav").is_displayed()
    assert shown.find_element("css selector", "img.map").is_displayed()
