"""Plots and figures on the disk: PNG files, long names, and no changed settings of matplotlib."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from retrieval.views import feature_map, plots, style

LONG = [letter + 199 * "x" for letter in "ab"]


def a_plot(columns: tuple[str, str] = ("first", "second")) -> Figure:
    values = pd.DataFrame([[0.2, 0.3], [0.4, 0.1]], columns=columns)
    return plots.curves(values, title="$5 a cat", xlabel="rounds", ylabel="precision")


def labelled(names: list[str], root: Path) -> dict[str, Figure]:
    """Every plot that writes the names of categories."""
    counts = pd.DataFrame({"train": [3, 2], "test": [1, 1]}, index=names)
    report, shares = pd.DataFrame({"f1": [0.2, 0.4]}, index=names), pd.DataFrame(np.eye(2), names, names)
    files = []
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(root / name / "1.png")
        files.append(f"{name}/1.png")
    return {
        "counts": plots.category_counts(counts, title=""),
        "map": plots.feature_map(np.array([[0.0, 0.0], [1.0, 1.0]]), root, files, title=""),
        "f1": plots.f1_bars({"mobilenetv2": report}, title=""),
        "differences": plots.differences(report.f1, title=""),
        "heat map": plots.confusion_heatmap(shares, title=""),
        "curves": a_plot((names[0], names[1])),
        "log": plots.log_panels({"": pd.DataFrame(np.eye(2) + 1, [1, 2], names)}, ylabel=""),
    }


def test_a_figure_is_saved_as_png(tmp_path: Path) -> None:
    figure = a_plot()
    assert style.save(figure, tmp_path / "plots" / "a.png") is figure
    (path,) = (tmp_path / "plots").iterdir()
    with Image.open(path) as image:
        assert image.format == "PNG" and image.width > 500


def test_long_names_widen_no_figure_and_stay_apart(tmp_path: Path) -> None:
    for name, figure in labelled(LONG, tmp_path).items():
        path = tmp_path / f"{name}.png"
        style.save(figure, path)
        with Image.open(path) as image:
            width, height = 150 * figure.get_size_inches()
            assert image.width < width + 400 and image.height < height + 400, name


def test_names_that_are_alike_once_shortened_keep_their_own_place() -> None:
    names = [f"{50 * 'x'}{letter}{50 * 'x'}" for letter in "ab"]
    figure = plots.differences(pd.Series([0.1, 0.2], names), title="")
    assert len(figure.axes[0].patches) == 2
    assert {patch.get_x() for patch in figure.axes[0].patches} == {-0.4, 0.6}


def test_the_verdict_on_a_gain_is_its_colour_and_trainings_that_disagree_a_hollow_dot() -> None:
    verdicts = ["better", "worse", "no difference", "runs disagree"]
    columns = [f"{measure} {part}" for measure in ("P@3", "mAP") for part in ("difference", "low", "high")]
    steps = pd.DataFrame(0.1, ["start", *verdicts], ["against", *columns])
    for measure in ("P@3", "mAP"):
        steps[f"{measure} verdict"] = ["", *verdicts]
        steps.loc["start", f"{measure} difference"] = np.nan
    for axis in plots.gains(steps, ["P@3", "mAP"], title="").axes:
        dots = [line for line in axis.lines if line.get_marker() == "o"][::-1]
        assert [dot.get_color() for dot in dots] == [style.RIGHT, style.WRONG, style.GREY, style.GREY]
        hollow = [dot.get_markerfacecolor() != dot.get_color() for dot in dots]
        assert hollow == [False, False, False, True]


def test_names_are_no_formulas(tmp_path: Path) -> None:
    for name, figure in labelled(["$x", "a_$5_$6"], tmp_path).items():
        style.save(figure, tmp_path / f"{name}.png")
        texts = [
            text
            for axis in figure.axes
            for text in axis.findobj(lambda each: hasattr(each, "get_parse_math"))
        ]
        assert not any(text.get_parse_math() for text in texts if "$" in text.get_text()), name


def test_points_without_spread_are_no_map(tmp_path: Path) -> None:
    for features in (np.ones((16, 5)), np.zeros((2, 1))):
        points = feature_map.tsne(features.astype(np.float32), seed=0)
        figure = plots.feature_map(points, tmp_path, ["a/1.png"] * len(points), title="")
        assert [text.get_text() for text in figure.axes[0].texts] == ["None."]


def test_letters_without_a_font_are_told_once_and_with_a_remedy(capsys) -> None:
    style.say_unwritten(["cat/Ünter_$1.png", "קאט"])
    assert not capsys.readouterr().out
    style.say_unwritten(["cat\U0010fffd", "\U0010fffe/\U0010fffd"])
    line = capsys.readouterr().out
    assert line.count("\n") == 1 and "boxes for 2 letters" in line and "`fonts-noto-cjk`" in line


def test_names_are_no_formulas_in_tables_either() -> None:
    assert "mathjax_ignore" in pd.DataFrame({"category": ["a_$5_$6"]})._repr_html_()


def test_importing_and_drawing_change_no_setting_of_matplotlib() -> None:
    code = """import sys, retrieval.views.page
assert "matplotlib" not in sys.modules
import matplotlib as mpl
before = dict(mpl.rcParams)
from retrieval.views import grids, plots, query, style
import pandas as pd
plots.curves(pd.DataFrame({"a": [1]}), title="", xlabel="", ylabel="")
print([key for key, value in mpl.rcParams.items() if before[key] != value])"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() in ("[]", "['backend']"), done.stderr


def test_lines_of_one_plot_are_told_apart() -> None:
    methods = pd.DataFrame(np.random.default_rng(0).random((3, 6)), columns=list("abcdef"))
    figure = plots.curve_panels({"all": methods}, xlabel="", ylabel="")
    assert len({line.get_color() for line in figure.axes[0].lines}) == len(methods.columns)
