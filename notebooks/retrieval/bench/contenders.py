"""The contenders of `make bench`: each is prepared for a number of images, or of gallery rows, then timed.

The timed function returns the positions found, `[n_queries, k]`, if it answers queries, and None if not.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from retrieval.artifacts import formats
from retrieval.artifacts.store import Store, open_store
from retrieval.data.images import load_image, load_images
from retrieval.features import lda
from retrieval.features.extraction import SIZE, extract, to_features
from retrieval.features.litert import load_encoder
from retrieval.features.normalising import l2_normalise
from retrieval.search.model import Model, to_arrays
from retrieval.search.neighbours import LEAF_SIZE, nearest, prepare
from retrieval.search.retriever import MODEL, Retriever
from retrieval.settings import PRECISIONS, RANGES, Settings, read_settings

K = 10  # neighbours per query
DIMENSIONS = 1280
DECODED = 256  # images that are decoded beforehand if decoding is not to count
BATCH = 32  # images, the default of Keras's functions
# As notebook 03 fine-tunes MobileNetV2: pixels on a side of pictures and of crops; categories, and images
# of each.
TRAINED, CROP, CATEGORIES, IMAGES = 192, 160, 16, 4
QUERIES = 512  # in a synthetic gallery
TREE_DISTANCES = 1 << 22  # that a KD-tree computes if it skips nothing: seconds of work
ENCODER = "bench_{}.tflite"

Work = Callable[[], np.ndarray | None]
Searcher = Callable[[np.ndarray, np.ndarray], Work]  # from gallery and queries
Vectors = Callable[[int], tuple[np.ndarray, np.ndarray]]  # from a size to gallery and queries


def extraction(precision: str, size: int, scratch: Path) -> Work:
    """Image files to a `.npy`, as the notebooks do it."""
    settings, store = _opened()
    encode = to_features(store.load(ENCODER.format(precision)))
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
    encode = load_encoder(store.load(ENCODER.format("float32")), SIZE)
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


def adding(size: int, scratch: Path) -> Work:
    """Image files into a gallery that has the features of all train images. Copies are searched, too."""
    settings, store = _opened()
    about = {"name": "", "sizes": [SIZE], "mirrored": False, "resample": 0, "pixels": RANGES[0]}
    model = Model(store.load(ENCODER.format("float32")), np.ones(1), None, np.empty(0), about)
    formats.write(scratch / MODEL, to_arrays(model))
    rows = l2_normalise(store.features("mobilenetv2", "train"))
    retriever = Retriever(scratch, model, settings.data, store.files("train"), rows, [])
    new = [scratch / f"{number}.jpg" for number in range(size)]
    for path, file in zip(new, _repeated(store.files("test"), size), strict=True):
        path.symlink_to(settings.data / file)

    def work() -> None:
        retriever.extend(new)

    return work


def searching(searcher: Searcher, vectors: Vectors, size: int, scratch: Path) -> Work:
    """The K nearest rows of every query; what a searcher prepares of the gallery does not count."""
    return searcher(*vectors(size))


def exact(gallery: np.ndarray, queries: np.ndarray) -> Work:
    """Compares with every row, as this project does."""
    prepared = prepare(gallery)
    return lambda: nearest(prepared, queries, K, method="exact")[1]


def tree(gallery: np.ndarray, queries: np.ndarray) -> Work:
    """A KD-tree by the library that `nearest` uses. It is asked fewer queries, because it takes long."""
    built = KDTree(gallery, leafsize=LEAF_SIZE)
    asked = queries[:: -(-len(queries) * len(gallery) // TREE_DISTANCES)]
    return lambda: built.query(asked, K, workers=-1)[1]


def product(gallery: np.ndarray, queries: np.ndarray) -> Work:
    """NumPy's matrix product alone, which finds nothing."""

    def work() -> np.ndarray:
        return (queries @ gallery.T)[:, :0]

    return work


def scikit_learn(gallery: np.ndarray, queries: np.ndarray) -> Work:
    """Compares with every row, as scikit-learn does."""
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=K, algorithm="brute", n_jobs=-1).fit(gallery)
    return lambda: model.kneighbors(queries, return_distance=False)


def faiss_flat(gallery: np.ndarray, queries: np.ndarray) -> Work:
    """Compares with every row, as FAISS does: in float32, without a proof."""
    import faiss

    flat = faiss.IndexFlatL2(gallery.shape[1])
    flat.add(gallery)
    return lambda: flat.search(queries, K)[1]


def features(size: int) -> tuple[np.ndarray, np.ndarray]:
    """MobileNetV2 features of the train and test part, float32 `[n_images, 1280]`."""
    _, store = _opened()
    return store.features("mobilenetv2", "train"), store.features("mobilenetv2", "test")


def after_lda(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The same after LDA, float32 `[n_images, d]`."""
    _, store = _opened()
    fitted = lda.fit(store.features("mobilenetv2", "train"), store.categories("train"), shrinkage=0.1)
    gallery, queries = (lda.transform(each, fitted) for each in features(size))
    return gallery, queries


def synthetic(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Random vectors of as many dimensions, `[size, DIMENSIONS]` and `[QUERIES, DIMENSIONS]`."""
    rng = np.random.default_rng(0)
    gallery, queries = (rng.standard_normal((rows, DIMENSIONS), np.float32) for rows in (size, QUERIES))
    return gallery, queries


SEARCHERS: dict[str, Searcher] = {
    "exact": exact,
    "KD-tree": tree,
    "matrix product": product,
    "scikit-learn, brute": scikit_learn,
    "FAISS, flat": faiss_flat,
}
GROWING = ("exact", "KD-tree")
# By what is measured, then by name; the first of each is this project.
CONTENDERS: dict[str, dict[str, Callable[[int, Path], Work]]] = {
    "extraction": {
        "this project": partial(extraction, "float32"),
        "this project, int8": partial(extraction, "int8"),
        "model.predict": prediction,
        "inference alone": inference,
    },
    "training": {"decoded once": training_decoded_once, "plain Keras": training_plain_keras},
    "adding": {"this project": adding},
    "search": {name: partial(searching, each, features) for name, each in SEARCHERS.items()},
    "search after LDA": {name: partial(searching, each, after_lda) for name, each in SEARCHERS.items()},
    "growing gallery": {name: partial(searching, SEARCHERS[name], synthetic) for name in GROWING},
}


def keep_encoders(store: Store, settings: Settings) -> None:
    """Keeps MobileNetV2 converted in both precisions, as `bench_<precision>.tflite`, for `extraction`."""
    from retrieval.encoders import conversion, embeddings

    def convert(images: list[np.ndarray], _: Path) -> bytes:
        return conversion.convert(_mobilenetv2(settings), calibration=images)

    for precision in PRECISIONS:
        images = embeddings.calibration(store, replace(settings, precision=precision), SIZE)
        store.make(
            ENCODER.format(precision),
            by=partial(convert, images),
            needs=["weights.json", *embeddings.CALIBRATION[precision]],
        )


def _opened() -> tuple[Settings, Store]:
    settings = read_settings()
    return settings, open_store(settings)


def _repeated(items: Sequence[Any], size: int) -> list[Any]:
    return list(islice(cycle(items), size))


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
