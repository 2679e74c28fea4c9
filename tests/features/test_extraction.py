"""Image files to features: as Keras loads and computes them, in order, and resumed after an interruption."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import psutil
import pytest
from PIL import Image

from retrieval.data.images import load_image, load_images
from retrieval.encoders import conversion, siamese
from retrieval.errors import RetrievalError
from retrieval.features import extraction
from retrieval.features.litert import load_encoder
from retrieval.features.normalising import l2_normalise


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """150 noise images, two batches and a bit, of different sizes."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(150):
        pixels = rng.integers(0, 256, (40 + i, 50, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03}.png")
    return folder


@pytest.fixture(scope="module")
def mean_colour():
    """As cheap as an encoder can be, and its values are known."""
    pool = [keras.layers.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D()]
    return conversion.convert(keras.Sequential(pool))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_images_are_resized_as_keras_does(folder):
    file = folder / names(folder)[0]
    expected = keras.utils.img_to_array(keras.utils.load_img(file, target_size=(32, 32)))
    np.testing.assert_array_equal(load_image(file, 32), expected)


def test_large_images_are_averaged_before_they_are_resized(tmp_path):
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    pixels = load_image(tmp_path / "stripes.png", 32)
    assert pixels.min() >= 127 and pixels.max() <= 128


def test_an_unreadable_image_is_named(tmp_path):
    (tmp_path / "text.jpg").write_text("not an image")
    with pytest.raises(RetrievalError, match=r"text\.jpg"):
        load_image(tmp_path / "text.jpg", 32)


def test_training_images_keep_the_order_of_the_files_and_take_no_memory(folder, tmp_path):
    files = names(folder)[:5][::-1]
    images = load_images(folder, files, 16, folder=tmp_path)
    assert isinstance(images, np.memmap) and not images.flags.writeable and not list(tmp_path.iterdir())
    resized = Image.open(folder / files[1]).reduce(2).resize((16, 16), Image.Resampling.BILINEAR)
    assert images.shape == (5, 16, 16, 3) and images.dtype == np.uint8
    np.testing.assert_array_equal(images[1], resized)


def test_features_are_those_of_the_encoder_in_order(folder, mean_colour, tmp_path):
    files = names(folder)[::-1]
    describe = extraction.to_features(mean_colour, size=32)
    extracted = extraction.extract(describe, folder, files, unfinished=tmp_path / "part")
    expected = [load_image(folder / file, 32).mean(axis=(0, 1)) / 127.5 - 1 for file in files]
    assert extracted.dtype == np.float32 and extracted.flags.c_contiguous
    np.testing.assert_allclose(extracted, expected, atol=1e-5)


def test_features_of_an_image_are_the_same_bits_on_every_thread(folder):
    encode = load_encoder(conversion.convert(siamese.siamese_cnn(seed=0)), 32)
    images = [load_image(folder / file, 32) for file in names(folder)[:20]]
    expected = [encode(image) for image in images]
    with ThreadPoolExecutor(8) as pool:
        np.testing.assert_array_equal(list(pool.map(encode, images)), expected)


def test_embeddings_at_several_sizes_are_added_up_at_unit_length(folder):
    encoder = siamese.siamese_cnn(seed=0)
    model, file = conversion.convert(encoder), folder / names(folder)[0]
    at_16, at_24 = (extraction.to_embedding(model, sizes=[size])(file) for size in (16, 24))
    both = extraction.to_embedding(model, sizes=[16, 24])(file)
    smooth = load_image(file, 16, resample=Image.Resampling.BILINEAR)
    np.testing.assert_allclose(at_16, siamese.embed(encoder, smooth[np.newaxis])[0], atol=1e-6)
    np.testing.assert_allclose(both, (at_16 + at_24) / np.linalg.norm(at_16 + at_24), atol=1e-6)
    assert np.abs(at_16 - at_24).max() > 1e-3
    flipped = l2_normalise(siamese.embed(encoder, smooth[np.newaxis, :, ::-1]))[0]
    mirrored = extraction.to_embedding(model, sizes=[16], mirrored=True)(file)
    expected = (at_16 + flipped) / np.linalg.norm(at_16 + flipped)
    np.testing.assert_allclose(mirrored, expected, atol=1e-6)
    assert np.abs(at_16 - flipped).max() > 1e-3


@pytest.fixture
def chunks_of_64(monkeypatch):
    monkeypatch.setattr(extraction, "CHUNK", 64)


def extracted_anew(folder, unfinished) -> tuple[np.ndarray, list[str]]:
    """The red of every image as its features, and the images that had to be looked at."""
    described = []

    def red(path):
        described.append(path.name)
        return load_image(path, 8)[0, 0, :1].astype(np.float32)

    return extraction.extract(red, folder, names(folder), unfinished=unfinished), sorted(described)


def test_an_interrupted_extraction_goes_on_with_the_first_chunk_that_is_missing(
    folder, mean_colour, tmp_path, chunks_of_64
):
    files = names(folder)
    whole, described = extracted_anew(folder, tmp_path / "whole")
    assert described == files

    def interrupted(path):
        if path.name == files[100]:
            raise RetrievalError("interrupted")
        return load_image(path, 8)[0, 0, :1].astype(np.float32)

    with pytest.raises(RetrievalError, match="interrupted"):
        extraction.extract(interrupted, folder, files, unfinished=tmp_path / "part")
    resumed, described = extracted_anew(folder, tmp_path / "part")
    assert described == files[64:]
    np.testing.assert_array_equal(resumed, whole)


@pytest.mark.parametrize("damage", ["truncated", "emptied", "a pickle", "a folder", "missing"])
def test_a_damaged_chunk_alone_is_made_again(folder, tmp_path, chunks_of_64, damage):
    whole, chunk = np.array(extracted_anew(folder, tmp_path)[0]), tmp_path / "0001.npy"
    content = chunk.read_bytes()
    chunk.unlink()
    if damage == "a pickle":
        np.save(chunk, np.array([[print]] * 64, dtype=object), allow_pickle=True)
    elif damage == "a folder":
        chunk.mkdir()
    elif damage != "missing":
        chunk.write_bytes(content[:100] if damage == "truncated" else b"")
    repeated, described = extracted_anew(folder, tmp_path)
    assert described == names(folder)[64:128]
    np.testing.assert_array_equal(repeated, whole)


def test_memory_does_not_grow_with_the_number_of_images(folder, tmp_path):
    process, files, peaks = psutil.Process(), names(folder) * 60, []

    def describe(path):
        peaks.append(process.memory_info().rss)
        return np.full(10_000, float(path.stem), np.float32)

    extracted = extraction.extract(describe, folder, files, unfinished=tmp_path / "part")
    # One chunk is in memory at a time, of nine, or two while one is written.
    assert extracted.nbytes == 360e6 and max(peaks) - peaks[0] < 120e6
    assert extracted[-1, 0] == 149 and extracted.filename.parent == tmp_path / "part"
    assert not extracted.flags.writeable
