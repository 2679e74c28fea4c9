"""Methods of relevance feedback beyond Rocchio as reported: chosen on validation, compared query by query."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from retrieval.data.parts import Part
from retrieval.evaluation.intervals import bootstrap_interval, verdict
from retrieval.evaluation.simulation import simulate
from retrieval.search import feedback

WEIGHTS = ((1.0, 0.75, 0.15), (1.0, 3.0, 0.0), (1.0, 3.0, 1.0), (1.0, 10.0, 5.0))  # alpha, beta, gamma
ROCCHIO, CLASSIFIER, MACHINE = "Rocchio", "linear classifier", "linear SVM"
SHRINKAGES = (100.0, 10.0, 1.0)
CS = (0.1, 1.0, 10.0)


def candidates(gallery: np.ndarray) -> dict[str, dict[Any, feedback.Method]]:
    """Rocchio, the linear classifier and the SVM with several settings each, by name and setting.

    Args:
        gallery: unit rows `[n, dim]`: the classifier's covariance and the SVM's negatives are taken from it.
    """
    return {
        ROCCHIO: {
            (alpha, beta, gamma): partial(feedback.rocchio, alpha=alpha, beta=beta, gamma=gamma)
            for alpha, beta, gamma in WEIGHTS
        },
        CLASSIFIER: {
            shrinkage: feedback.linear_classifier(gallery, shrinkage=shrinkage) for shrinkage in SHRINKAGES
        },
        MACHINE: {c: feedback.support_vector_machine(gallery, c=c) for c in CS},
    }


def choose(
    gallery: Part, queries: Part, *, rounds: int, judged: int
) -> tuple[dict[str, Any], dict[str, feedback.Method], pd.DataFrame]:
    """The best setting of each method: the most relevant images among all that are shown in all rounds.

    Shares are compared to three digits; of equals, the first is chosen.

    Args:
        gallery: unit rows, what is searched.
        queries: of the validation part.
        rounds: as `simulation.simulate`.
        judged: as `simulation.simulate`.

    Returns:
        The settings and the methods by name, and a table of all candidates: method, setting, and
        "right among the new".
    """
    settings, methods, rows = {}, {}, []
    for name, choices in candidates(gallery.features).items():
        scores = {
            setting: simulate(gallery, queries, method=method, rounds=rounds, judged=judged)
            .residual[1:]
            .mean()
            for setting, method in choices.items()
        }
        settings[name] = max(scores, key=lambda setting: round(scores[setting], 3))
        methods[name] = choices[settings[name]]
        rows += [(name, setting, value) for setting, value in scores.items()]
    return settings, methods, pd.DataFrame(rows, columns=["method", "setting", "right among the new"])


def paired(first: np.ndarray, second: np.ndarray, groups: np.ndarray, *, seed: int) -> dict[str, Any]:
    """The difference between two methods in the share of relevant images among all shown in some rounds.

    Args:
        first: precision of every round and query, `[rounds, n_queries]`.
        second: of the other method, the same shape.
        groups: duplicate group of every query, `[n_queries]`.
        seed: of the interval.

    Returns:
        difference (the first less the second), low and high (its paired interval), and verdict.
    """
    differences = (first - second).mean(axis=0)
    low, high = bootstrap_interval(differences, groups=groups, seed=seed)
    return {"difference": differences.mean(), "low": low, "high": high, "verdict": verdict((low, high))}


def named(settings: Mapping[str, Any]) -> dict[str, float]:
    """The settings that `choose` gives, each under its own name.

    >>> named({"Rocchio": (1.0, 3.0, 1.0), "linear classifier": 10.0, "linear SVM": 0.1})
    {'alpha': 1.0, 'beta': 3.0, 'gamma': 1.0, 'shrinkage': 10.0, 'c': 0.1}
    """
    weights = dict(zip(("alpha", "beta", "gamma"), settings[ROCCHIO], strict=True))
    return weights | {"shrinkage": settings[CLASSIFIER], "c": settings[MACHINE]}


def curves(measured: Mapping[tuple[float, str], np.ndarray], weak: np.ndarray) -> list[dict[str, Any]]:
    """The mean precision of every round, as it is kept.

    Args:
        measured: precision of every round and query, `[rounds + 1, n_queries]`, by the share of wrong
            judgements and the method.
        weak: which queries are of the weakest categories, boolean `[n_queries]`.

    Returns:
        For each: method, wrong, residual_precision and weakest_residual (a mean for each round).

    >>> curves({(0.0, "Rocchio"): np.array([[0.5, 0.0], [1.0, 0.5]])}, np.array([False, True]))
    [{'method': 'Rocchio', 'wrong': 0.0, 'residual_precision': [0.25, 0.75], 'weakest_residual': [0.0, 0.5]}]
    """
    return [
        {
            "method": method,
            "wrong": wrong,
            "residual_precision": values.mean(axis=1).tolist(),
            "weakest_residual": values[:, weak].mean(axis=1).tolist(),
        }
        for (wrong, method), values in measured.items()
    ]
