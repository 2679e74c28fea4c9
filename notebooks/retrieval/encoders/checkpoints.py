"""Checkpoints of a training: after a kill it goes on from its last finished epoch.

A folder holds `history.json` and the weights, with the optimiser's state, of the last and of the best epoch.
"""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np

from retrieval.encoders.tensorflow_quiet import keras
from retrieval.files import json_sha256, remove, sha256, write_atomically

History = list[dict[str, float]]


def save_epoch(encoder: keras.Model, history: History, folder: Path) -> None:
    """Saves the epoch that just ended, and keeps the best one.

    The weights are written first, then the history, which holds their hashes and its own, and only then are
    older weights deleted: a training that is killed in between goes on from the epoch before.
    """
    write_atomically(weights_file(folder, len(history)), encoder.save_weights)
    kept = {weights_file(folder, epoch) for epoch in (len(history), best_epoch(history))}
    state = {"epochs": history, "weights": {file.name: sha256(file) for file in kept}}
    text = json.dumps(state | {"sha256": json_sha256([folder.name, state])}, indent=1)
    write_atomically(folder / "history.json", lambda file: file.write_text(text, "utf-8"))
    for file in set(folder.glob("*.weights.h5")) - kept:
        file.unlink()


def resume(encoder: keras.Model, folder: Path) -> History:
    """The finished epochs; the encoder takes the weights and the optimiser's state of the last, if any."""
    history = _read_history(folder)
    if history:
        encoder.load_weights(weights_file(folder, len(history)))
        print(f"resumed after epoch {len(history)}")
    else:
        remove(folder)
    return history


def _read_history(folder: Path) -> History:
    """The finished epochs whose checkpoints are as they were written; none if anything is damaged."""
    with suppress(AttributeError, KeyError, OSError, TypeError, ValueError):
        state = json.loads((folder / "history.json").read_text("utf-8"))
        seal, weights = state.pop("sha256"), state["weights"]
        intact = all(sha256(folder / name) == digest for name, digest in weights.items())
        if intact and seal == json_sha256([folder.name, state]):
            return state["epochs"]
    return []


def weights_file(folder: Path, epoch: int) -> Path:
    """The file of an epoch's weights, which is kept for the last and the best epoch."""
    return folder / f"{epoch}.weights.h5"


def best_epoch(history: History) -> int:
    """The epoch with the highest validation precision, counted from 1, the first of equals; 0 before any.

    The last one if there is no precision (NaN) to choose by.
    """
    precision = [row["val_precision"] for row in history]
    return 1 + int(np.argmax(precision)) if history and not np.isnan(precision).any() else len(history)
