"""Any other encoder: a frozen network in a `.tflite` or `.keras` file, one more beside the built-in ones."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from retrieval.artifacts.store import Store
from retrieval.encoders.conversion import convert
from retrieval.encoders.embeddings import CALIBRATION, calibration, embed_parts
from retrieval.encoders.tensorflow_quiet import keras, tf
from retrieval.errors import RetrievalError, shown
from retrieval.features.extraction import SIZE
from retrieval.features.litert import load_encoder, scaling
from retrieval.files import remove
from retrieval.search.keeping import keep
from retrieval.settings import RANGES, Settings, encoder_file
from retrieval.silence import standard_error_closed

# The settings that make another encoder of the same file.
WATCHED = ("encoder", "encoder_size", "encoder_range")


def embed_custom(store: Store, settings: Settings) -> None:
    """Keeps the encoder that ENCODER names, as `custom.tflite`, and its features, as `embed_parts` does.

    If none is named, what an earlier one left is deleted.

    Raises:
        RetrievalError: the file is not there or no encoder that fits, or as `embed_parts`.
    """
    path = encoder_file(settings.encoder)
    if not path:
        for pattern in ("custom*", "results/custom*", "models/custom/*"):
            store.forget(pattern)
        remove(store.folder / "models" / "custom")
        return
    converted = path.suffix == ".keras"
    watched = {name: store.settings[name] for name in (*WATCHED, *(["precision"] if converted else []))}
    calibrate = partial(calibration, store, settings)
    model = store.make(
        "custom.tflite",
        by=lambda _: read_encoder(path, settings, calibrate),
        needs=CALIBRATION[settings.precision] if converted else [],
        settings=watched,
    )
    given = _input(model)
    size = _size(given["shape_signature"], settings.encoder_size)
    pixels = settings.encoder_range if given["dtype"] == np.float32 else RANGES[0]
    parts = embed_parts(store, settings.data, "custom", model="custom.tflite", sizes=[size], pixels=pixels)
    keep(store, settings.data, "custom", encoder="custom.tflite", sizes=[size], pixels=pixels)
    dimensions = parts["train"].features.shape[1]
    print(f"custom encoder: {shown(path.name)}, {size} x {size} pixels, features of {dimensions} dimensions")


def read_encoder(
    path: Path, settings: Settings, calibrate: Callable[[int], Sequence[np.ndarray]] = lambda size: ()
) -> bytes:
    """The encoder in a file, as the content of a `.tflite` file; it has described one image by then.

    A `.keras` file is converted, its input range included. Nothing in it is ever executed. `calibrate` gives
    images of a size for `conversion.convert`; without any, the encoder stays in float32.

    Raises:
        RetrievalError: it is no network from one image to one vector of finite numbers.
    """
    try:
        model = _converted(path, settings, calibrate) if path.suffix == ".keras" else path.read_bytes()
        given = _input(model)
        size = _size(given["shape_signature"], settings.encoder_size)
        if given["dtype"] not in (np.float32, np.uint8, np.int8):
            raise ValueError(f"it takes {np.dtype(given['dtype'])} pixels")
        image = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
        _need_vector(load_encoder(model, size, pixels=settings.encoder_range)(image)[np.newaxis])
    except Exception as error:  # of Keras and LiteRT, of any kind and often many lines
        reason = (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0].rstrip(".")
        remedy = "docs/own-photographs.md shows how to export one that does"
        raise RetrievalError(f"ENCODER={path} does not fit ({reason}): {remedy}") from None
    return model


def _converted(path: Path, settings: Settings, calibrate: Callable[[int], Sequence[np.ndarray]]) -> bytes:
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception:  # what Keras would have to execute, it refuses
        raise ValueError("damaged, of another Keras, or with a lambda or a class of its own") from None
    _need_one_each(model.inputs, model.outputs)
    size = _size(model.inputs[0].shape, settings.encoder_size)
    pixels = RANGES[0] if "int" in model.inputs[0].dtype else settings.encoder_range
    factor, low = scaling(pixels)

    def preprocess(images: np.ndarray | tf.Tensor) -> tf.Tensor:
        return tf.cast(images, tf.float32) * factor + low

    black = np.zeros((1, size, size, 3), np.uint8)
    encoder = keras.Model(model.inputs, model.outputs[0])
    _need_vector(encoder(preprocess(black), training=False).numpy())
    return convert(encoder, preprocess=preprocess, calibration=calibrate(size))


def _input(model: bytes) -> dict:
    """What LiteRT says of a model's only input."""
    with standard_error_closed():
        interpreter = Interpreter(model_content=model)
    _need_one_each(interpreter.get_input_details(), interpreter.get_output_details())
    return interpreter.get_input_details()[0]


def _need_one_each(inputs: Sequence, outputs: Sequence) -> None:
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(f"it has {len(inputs)} inputs and {len(outputs)} outputs, not one of each")


def _size(shape: Sequence[int | None], asked: int | None) -> int:
    """The size of images for an input `[n, size, size, 3]`, with None or -1 where any will do."""
    sides = [-1 if side is None else int(side) for side in shape]
    if len(sides) != 4 or sides[1] != sides[2] or sides[3] != 3:
        raise ValueError(f"its input is {sides}, not one square image in colour, [1, size, size, 3]")
    if sides[1] != -1 and asked not in (None, sides[1]):
        raise ValueError(f"it takes {sides[1]} x {sides[1]} pixels: give ENCODER_SIZE=default")
    return (asked or SIZE) if sides[1] == -1 else sides[1]


def _need_vector(features: np.ndarray) -> None:
    """Refuses features that are not `[1, dim]`, or not finite."""
    if features.ndim != 2:
        raise ValueError(f"its output is {list(features.shape)}, not one vector, [1, dim]")
    if not np.isfinite(features).all():
        raise ValueError("its output holds NaN or infinite values")
