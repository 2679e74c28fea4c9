"""The contenders of `make bench`: each is prepared for a number of images, or of index rows, then timed.

The timed function returns the positions found, `[n_queries, k]`, if it answers queries, and None if not.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from retrieval.artifacts.store import Store, open_store
from retrieval.data.images import load_image, load_images
from retrieval.features.extraction import SIZE, extract, to_features
from retrieval.features.litert import load_encoder
from retrieval.search.neighbours import LEAF_SIZE, nearest
from retrieval.settings import Settings, read_settings

K = 10  # neighbours per query
DIMENSIONS = 1280
DECODED = 256  # images that are decoded beforehand if decoding is not to count
BATCH = 32  # images, the default of Keras's functions
# As notebook 03 fine-tunes MobileNetV2: pixels on a side of pictures and of crops; categories, and images
# of each.
TRAINED, CROP, CATEGORIES, IMAGES = 192, 160, 16, 4
# Queries in the synthetic index; one takes a KD-tree seconds there.
EXACT_QUERIES, TREE_QUERIES = 512, 8

Work = Callable[[], np.ndarray | None]


def extraction(size: int, scratch: Path) -> Work:
    """Image files to a `.npy`, as the notebooks do it."""
    settings, store = _opened()
    encode = to_features(store.load("mobilenetv2.tflite"))
    files = _repeated(store.files("train"), size)

    def work() -> None:
        rows = extract(encode, settings.data, files, unfinished=scratch / "unfinished")
        np.save(scratch / "features.npy", rows)

    return work


def prediction(size: int, scratch: Path) -> Work:
    """The same with `model.predict` on `image_dataset_from_directory`."""
    from retrieval.encoders.tensorflow_quiet import keras

    settings, store = _opened()
    for number, file in enumerate(_repeated(store.files("train"), size)):
        (scratch / f"{number}{Path(file).suffix}").symlink_to(settings.data / file)
    encoder = _mobilenetv2(settings)
    inputs = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(inputs, encoder(keras.layers.Rescaling(1 / 127.5, -1)(inputs)))
    model.predict(np.zeros((BATCH, SIZE, SIZE, 3)), verbose=0)

    def work() -> None:
        images = keras.utils.image_dataset_from_directory(
            scratch, labels=None, image_size=(SIZE, SIZE), batch_size=BATCH, shuffle=False, verbose=False
        )
        np.save(scratch / "features.npy", model.predict(images, verbose=0))

    return work


def inference(size: int, scratch: Path) -> Work:
    """The encoder alone, on images in memory: no extraction with it can be faster."""
    settings, store = _opened()
    encode = load_encoder(store.load("mobilenetv2.tflite"), SIZE)
    files = store.files("train")[: min(size, DECODED)]
    images = [load_image(settings.data / file, SIZE) for file in files]

    def work() -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(encode, _repeated(images, size)))

    return work


def training_decoded_once(size: int, scratch: Path) -> Work:
    """An epoch of fine-tuning MobileNetV2 on triplets, on pictures that were decoded once, beforehand."""
    settings, store = _opened()
    images = load_images(settings.data, _repeated(store.files("train"), size), TRAINED, folder=scratch)
    step = _training_step(settings)
    batches = np.array_split(np.arange(size), size // (CATEGORIES * IMAGES))

    def work() -> None:
        for rows in batches:
            step(images[rows])

    return work


def training_plain_keras(size: int, scratch: Path) -> Work:
    """The same on a plain `tf.data` pipeline, which decodes the pictures in every epoch."""
    from retrieval.encoders.tensorflow_quiet import tf

    settings, store = _opened()
    paths = [str(settings.data / file) for file in _repeated(store.files("train"), size)]

    def decode(path: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        return tf.cast(tf.image.resize(image, (TRAINED, TRAINED)), tf.uint8)

    dataset = tf.data.Dataset.from_tensor_slices(paths).map(decode, tf.data.AUTOTUNE)
    dataset = dataset.batch(CATEGORIES * IMAGES).prefetch(tf.data.AUTOTUNE)
    step = _training_step(settings)

    def work() -> None:
        for images in dataset.as_numpy_iterator():
            step(images)

    return work


def growing_exact(size: int, scratch: Path) -> Work:
    """Exact search in synthetic vectors."""
    index, queries = _synthetic(size), _synthetic(EXACT_QUERIES, seed=1)
    return lambda: nearest(index, queries, K, method="exact")[1]


def growing_tree(size: int, scratch: Path) -> Work:
    """A KD-tree of synthetic vectors, built beforehand, by the library that `nearest` uses."""
    tree, queries = KDTree(_synthetic(size), leafsize=LEAF_SIZE), _synthetic(TREE_QUERIES, seed=1)
    return lambda: tree.query(queries, K, workers=-1)[1]


def searching(method: str, size: int, scratch: Path) -> Work:
    """`nearest` for every test image among the train images; preparing the index is included."""
    index, queries = index_and_queries()
    return lambda: nearest(index, queries, K, method=method)[1]


def scikit_learn(size: int, scratch: Path) -> Work:
    """The same with scikit-learn, comparing with every row; preparing the index is not included."""
    from sklearn.neighbors import NearestNeighbors

    index, queries = index_and_queries()
    model = NearestNeighbors(n_neighbors=K, algorithm="brute", n_jobs=-1).fit(index)
    return lambda: model.kneighbors(queries, return_distance=False)


def faiss_flat(size: int, scratch: Path) -> Work:
    """The same with FAISS, comparing with every row; preparing the index is not included."""
    import faiss

    index, queries = index_and_queries()
    flat = faiss.IndexFlatL2(index.shape[1])
    flat.add(index)
    return lambda: flat.search(queries, K)[1]


def index_and_queries() -> tuple[np.ndarray, np.ndarray]:
    """MobileNetV2 features of the train and test part, float32 `[n_images, 1280]`."""
    _, store = _opened()
    return store.features("mobilenetv2", "train"), store.features("mobilenetv2", "test")


# By what is measured, then by name. The notebooks use the first of each.
CONTENDERS: dict[str, dict[str, Callable[[int, Path], Work]]] = {
    "extraction": {"this project": extraction, "model.predict": prediction, "inference alone": inference},
    "training": {"decoded once": training_decoded_once, "plain Keras": training_plain_keras},
    "growing index": {"exact": growing_exact, "KD-tree": growing_tree},
    "search": {
        "exact": partial(searching, "exact"),
        "KD-tree": partial(searching, "kdtree"),
        "scikit-learn, brute": scikit_learn,
        "FAISS, flat": faiss_flat,
    },
}


def _opened() -> tuple[Settings, Store]:
    settings = read_settings()
    return settings, open_store(settings)


def _repeated(items: Sequence[Any], size: int) -> list[Any]:
    return list(islice(cycle(items), size))


def _synthetic(rows: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, DIMENSIONS), dtype=np.float32)


def _mobilenetv2(settings: Settings) -> Any:
    from retrieval.encoders.mobilenetv2 import mobilenetv2
    from retrieval.encoders.weights import find_weights

    with redirect_stdout(None):
        return mobilenetv2(find_weights(settings.weights))


def _training_step(settings: Settings) -> Callable[[np.ndarray], Any]:
    """One step of fine-tuning MobileNetV2 as notebook 03 does, on uint8 images `[n, TRAINED, TRAINED, 3]`."""
    from retrieval.encoders import batches, training, triplets
    from retrieval.encoders.tensorflow_quiet import keras

    encoder = _mobilenetv2(settings)
    encoder.compile(keras.optimizers.Adam(1e-5))
    encoder.optimizer.build(encoder.trainable_variables)
    step = training.training_step(encoder, partial(triplets.hinge, margin=0.3), CROP)
    n, rng = CATEGORIES * IMAGES, np.random.default_rng(0)
    variation = batches.draw_crops(n, 0.4, rng), batches.draw_colours(n, 0.2, rng)
    labels = np.repeat(np.arange(CATEGORIES), IMAGES)
    step(np.zeros((n, TRAINED, TRAINED, 3), np.uint8), labels, *variation)
    return lambda images: step(images, labels, *variation)
