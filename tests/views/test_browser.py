"""Judging in a real browser: JupyterLab in Chromium, clicks and keys that really happen."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from subprocess import DEVNULL

import nbformat
import numpy as np
import pytest
import tiny
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from retrieval.commands.run import to_page
from retrieval.data.dataset import find_images
from retrieval.data.images import load_image
from retrieval.search import session
from retrieval.settings import PROJECT

pytest.importorskip("selenium", reason="needs selenium")
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="needs a browser: apt install chromium chromium-driver"
    ),
]
SHOWN = 6
WIDGET = "application/vnd.jupyter.widget-view+json"
CELLS = {
    "judge": f"""from pathlib import Path
import tiny
from retrieval.views import judging
judging.show(tiny.collection(Path("photos")), shown={SHOWN})""",
    "example": f"""from pathlib import Path
import tiny
from retrieval.views import judging
from retrieval.views.query_by_example import QueryByExample
judging.live(lambda: QueryByExample(tiny.retriever(Path("photos")), shown={SHOWN}), "To search")""",
}

# A file is given to an input that is in the page; the widget's is not.
REACHABLE = """HTMLInputElement.prototype.click = function () {
  document.getElementById("chosen")?.remove();
  this.id = "chosen";
  document.body.append(this);
}"""
OPEN = "return !!window.jupyterapp?.shell.currentWidget?.sessionContext"
# A command that comes before the kernel answers is not obeyed.
READY = """return (async () => {
  const { sessionContext } = jupyterapp.shell.currentWidget;
  await sessionContext.ready;
  await sessionContext.session.kernel.info;
})()"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Notebooks that show a session over the drawn images."""
    folder = tmp_path_factory.mktemp("lab")
    tiny.draw(folder / "photos")
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    for name, cell in CELLS.items():
        notebook = new_notebook(cells=[new_code_cell(cell)], metadata={"kernelspec": kernel})
        nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Those notebooks in a JupyterLab that only this machine can reach, and that reads nobody's settings."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex()
    options = ["--no-browser", "--expose-app-in-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    options += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"]
    packages = os.pathsep.join([str(PROJECT / "notebooks"), str(PROJECT / "tests")])
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter", "lab", *options],
        env=os.environ | {"PYTHONPATH": packages, "HOME": str(folder / ".home")},
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/api")
        yield f"http://127.0.0.1:{port}/doc/tree/{{}}.ipynb?token={token}"
    finally:
        server.terminate()
        server.wait()


def wait_for(url: str) -> None:
    for _ in range(240):
        with suppress(OSError), urllib.request.urlopen(url):
            return
        time.sleep(0.25)
    pytest.fail(f"nothing answers at {url}")


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    """Chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1300,1000"):
        options.add_argument(f"--{option}")
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER)) as browser:
        yield browser


def opened(browser: WebDriver, address: str, name: str) -> WebDriver:
    """A notebook, its cell executed anew."""
    if f"{name}.ipynb" not in browser.current_url:
        browser.get(address.format(name))
        until(browser, lambda: browser.execute_script(OPEN))
        browser.execute_script(READY)
    command(browser, "notebook:clear-all-cell-outputs")
    until(browser, lambda: not browser.find_elements(By.CLASS_NAME, "judging"))
    command(browser, "notebook:run-all-cells")
    until(browser, lambda: browser.find_elements(By.CLASS_NAME, "judging"))
    return browser


@pytest.fixture
def page(browser: WebDriver, address: str) -> WebDriver:
    """A session of its own."""
    opened(browser, address, "judge")
    until(browser, lambda: len(pictures(browser, 0)) == SHOWN)
    return browser


@pytest.fixture
def example(browser: WebDriver, address: str) -> WebDriver:
    """A query by example of its own."""
    return opened(browser, address, "example")


def until(page: WebDriver, condition: Callable[[], object]) -> None:
    """Waits until something is so, while the kernel and the page do their work."""
    WebDriverWait(page, 60, ignored_exceptions=[StaleElementReferenceException]).until(lambda _: condition())


def command(page: WebDriver, name: str) -> None:
    """Has JupyterLab do what is in its menus."""
    page.execute_script(f"return window.jupyterapp.commands.execute('{name}')")


def rounds(page: WebDriver) -> list[WebElement]:
    """The column of the query, then that of every round."""
    return page.find_elements(By.CSS_SELECTOR, ".judging .round")


def pictures(page: WebDriver, number: int) -> list[WebElement]:
    """Those of a round; -1 for the query."""
    return [
        each
        for column in rounds(page)[number + 1 : number + 2]
        for each in column.find_elements(By.TAG_NAME, "button")
    ]


def captions(page: WebDriver, number: int) -> list[str]:
    return [picture.text for picture in pictures(page, number)]


def button(page: WebDriver, text: str) -> WebElement:
    return page.find_element(By.XPATH, f"//button[.='{text}']")


def focused(page: WebDriver) -> WebElement:
    return page.switch_to.active_element


def press(page: WebDriver, *keys: str) -> None:
    ActionChains(page).send_keys(*keys).perform()


def press_back(page: WebDriver) -> None:
    ActionChains(page).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()


def test_every_click_changes_the_mark(page: WebDriver) -> None:
    assert not button(page, "Next round").is_enabled() and not button(page, "Undo").is_enabled()
    for caption, frame in [("✓ relevant", "solid"), ("✗ irrelevant", "dashed"), ("not judged", "solid")]:
        pictures(page, 0)[3].click()
        until(page, lambda caption=caption: captions(page, 0)[3] == caption)
        assert pictures(page, 0)[3].value_of_css_property("border-style") == frame
        assert pictures(page, 0)[3].accessible_name == caption
    assert captions(page, 0) == ["not judged"] * SHOWN


def test_the_buttons_show_the_pictures(page: WebDriver, folder: Path) -> None:
    files = {Path(file).stem: folder / "photos" / file for file in find_images(folder / "photos")}
    for picture in [*pictures(page, -1), *pictures(page, 0)]:
        seen = Image.open(BytesIO(picture.screenshot_as_png)).convert("RGB").crop((4, 4, 88, 88))
        drawn = load_image(files[picture.get_attribute("title")], 8, resample=Image.Resampling.BOX)
        difference = np.asarray(seen.resize((8, 8), Image.Resampling.BOX)).astype(int) - drawn
        assert np.abs(difference).mean() < 12


def test_marks_make_the_next_round_and_undo_takes_it_back(page: WebDriver, folder: Path) -> None:
    collection = tiny.collection(folder / "photos")
    index, query = collection.gallery.features, collection.queries.features[0]
    expected = session.search((), index, query, shown=SHOWN)
    expected = session.mark(expected, int(expected[0].shown[-1]))
    expected = session.search(
        expected, collection.gallery.features, collection.queries.features[0], shown=SHOWN
    )
    assert expected[0].shown.tolist() != expected[1].shown.tolist()
    pictures(page, 0)[-1].click()
    until(page, button(page, "Next round").is_enabled)
    button(page, "Next round").click()
    until(page, lambda: len(pictures(page, 1)) == SHOWN)
    for number, each in enumerate(expected):
        titles = [picture.get_attribute("title") for picture in pictures(page, number)]
        assert titles == [Path(collection.gallery.files[position]).stem for position in each.shown]
    right = np.array([file.startswith("1/") for file in collection.gallery.files])
    assert collection.queries.files[0].startswith("1/")
    for number in (0, 1):
        assert (
            f"round {number}, P@{SHOWN} {session.score(expected, number, right)[0]:.2f}"
            in rounds(page)[number + 1].text
        )
    # Side by side: the one is as high up as the other, and neither is cut off.
    assert rounds(page)[1].location["y"] == rounds(page)[2].location["y"]
    until(page, lambda: not any(picture.is_enabled() for picture in pictures(page, 0)))
    button(page, "Undo").click()
    until(page, lambda: len(rounds(page)) == 2 and all(picture.is_enabled() for picture in pictures(page, 0)))
    button(page, "Undo").click()
    until(page, lambda: captions(page, 0) == ["not judged"] * SHOWN)


def test_the_keyboard_does_all_that_the_mouse_does(page: WebDriver) -> None:
    page.execute_script("arguments[0].focus()", page.find_element(By.CSS_SELECTOR, ".judging select"))
    press(page, Keys.TAB)
    for key, caption in [
        (Keys.SPACE, "✓ relevant"),
        (Keys.ENTER, "✗ irrelevant"),
        (Keys.SPACE, "not judged"),
    ]:
        press(page, key)
        until(page, lambda caption=caption: focused(page).text == caption)
    press(page, Keys.TAB, Keys.SPACE)
    until(page, lambda: captions(page, 0)[:2] == ["not judged", "✓ relevant"])
    assert focused(page).value_of_css_property("outline-width") == "3px"
    while focused(page).text != "Next round":
        press_back(page)
    press(page, Keys.ENTER)
    until(page, lambda: len(pictures(page, 1)) == SHOWN)
    # Past rounds are passed over.
    press(page, Keys.TAB, Keys.TAB)
    assert focused(page) == pictures(page, 1)[0]
    press_back(page)
    press(page, Keys.SPACE)
    until(page, lambda: len(rounds(page)) == 2)


def test_another_query_can_be_chosen(page: WebDriver, folder: Path) -> None:
    files = tiny.collection(folder / "photos").queries.files
    choice = Select(page.find_element(By.CSS_SELECTOR, ".judging select"))
    assert [option.text for option in choice.options] == list(files)
    hostile = next(file for file in files if "<script>" in file)
    choice.select_by_visible_text(hostile)
    until(page, lambda: pictures(page, -1)[0].get_attribute("title") == Path(hostile).stem)
    assert pictures(page, 0)[0].get_attribute("title").startswith(tiny.HOSTILE)


def test_an_exported_page_says_where_to_click(page: WebDriver, folder: Path) -> None:
    command(page, "docmanager:save")
    saved = nbformat.read(folder / "judge.ipynb", 4)
    assert WIDGET in saved.cells[0].outputs[0].data
    exported = to_page(saved, "judge")
    assert "open this notebook in Jupyter" in exported and WIDGET not in exported


def choose(page: WebDriver, path: Path) -> None:
    """Chooses a file as with the dialog that the button opens."""
    page.execute_script(REACHABLE)
    page.find_element(By.CSS_SELECTOR, ".judging .widget-upload").click()
    page.find_element(By.ID, "chosen").send_keys(str(path))


def verdict(page: WebDriver) -> str:
    return page.find_element(By.CSS_SELECTOR, ".judging > .widget-html").text


def error(page: WebDriver) -> str:
    return " ".join(each.text for each in page.find_elements(By.CSS_SELECTOR, ".judging [role=alert]"))


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A picture that is not in the gallery, under a name that is no HTML."""
    path = tmp_path / "<b>mine.png"
    Image.new("RGB", (60, 40), tiny.COLOURS["1"]).save(path)
    return path


def test_a_chosen_picture_is_searched_for_and_its_results_are_marked(
    example: WebDriver, folder: Path, mine: Path
) -> None:
    assert not rounds(example) and not button(example, "Next round").is_enabled()
    choose(example, mine)
    until(example, lambda: len(pictures(example, 0)) == SHOWN)
    retriever = tiny.retriever(folder / "photos")
    answer = retriever.search(mine, SHOWN)
    until(example, lambda: verdict(example) == f"<b>mine.png: {answer.verdict}")
    titles = [each.get_attribute("title") for each in pictures(example, 0)]
    assert titles == [Path(file).stem for file in answer.files]
    assert rounds(example)[1].text.startswith(f"round 0\n{SHOWN} new ones")
    seen = Image.open(BytesIO(pictures(example, -1)[0].screenshot_as_png)).convert("RGB").getpixel((46, 46))
    assert np.abs(np.subtract(seen, tiny.COLOURS["1"])).max() < 12
    pictures(example, 0)[-1].click()
    until(example, button(example, "Next round").is_enabled)
    button(example, "Next round").click()
    until(example, lambda: len(pictures(example, 1)) == SHOWN)
    rows, query = retriever.features, retriever.model.encode(mine)
    expected = session.search((), rows, query, shown=SHOWN)
    expected = session.search(session.mark(expected, int(expected[0].shown[-1])), rows, query, shown=SHOWN)
    titles = [each.get_attribute("title") for each in pictures(example, 1)]
    assert titles == [Path(retriever.files[row]).stem for row in expected[1].shown]
    assert captions(example, 1).count("✓ relevant") == 1


def test_a_bad_picture_is_said_in_one_line_and_the_session_stays(
    example: WebDriver, folder: Path, mine: Path
) -> None:
    choose(example, mine)
    until(example, lambda: len(pictures(example, 0)) == SHOWN)
    kept = rounds(example)
    choose(example, folder / "judge.ipynb")
    until(example, lambda: "the image cannot be read (not an image)" in error(example))
    assert rounds(example) == kept and verdict(example).startswith("<b>mine.png: ")
    # The very picture again: neither the browser nor the kernel takes it for no change.
    choose(example, mine)
    until(example, lambda: not error(example) and len(pictures(example, 0)) == SHOWN)


def test_the_keyboard_names_a_picture_and_marks_its_results(example: WebDriver, mine: Path) -> None:
    field = example.find_element(By.CSS_SELECTOR, ".judging input[type=text]")
    assert field.accessible_name == "or its path"
    example.execute_script("arguments[0].focus()", field)
    press(example, "/nowhere/<b>.jpg", Keys.ENTER)
    until(example, lambda: error(example).startswith("/nowhere/<b>.jpg is no file"))
    assert focused(example) == field
    example.execute_script("arguments[0].select()", field)
    press(example, str(mine), Keys.ENTER)
    until(example, lambda: len(pictures(example, 0)) == SHOWN and not error(example))
    assert focused(example) == field
    press(example, Keys.TAB, Keys.SPACE)
    until(example, lambda: captions(example, 0)[0] == "✓ relevant")
    while focused(example).text != "Next round":
        press_back(example)
    assert focused(example).value_of_css_property("outline-width") == "3px"
    press(example, Keys.ENTER)
    until(example, lambda: len(pictures(example, 1)) == SHOWN)
    while focused(example) != field:
        press_back(example)
    press_back(example)
    assert focused(example).text.startswith("Choose a picture")


def test_axe_finds_no_violation(example: WebDriver, mine: Path, axe: str) -> None:
    choose(example, mine)
    until(example, lambda: len(pictures(example, 0)) == SHOWN)
    choose(example, Path(__file__))
    until(example, lambda: error(example))
    example.execute_script(axe)
    run = "axe.run('.judging').then(arguments[arguments.length - 1])"
    found = example.execute_async_script(run)
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found["violations"]] == []
    assert {"button-name", "label"} <= {rule["id"] for rule in found["passes"]}
