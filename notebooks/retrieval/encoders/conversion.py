"""Encoders converted for LiteRT, which runs them without TensorFlow and in half of Keras's time.

In int8, weights and activations are rounded to 8 bits, which takes about half of that time again
(post-training quantisation; Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018). The step of the rounding comes from the range that every
activation has on some images, the calibration.
"""

from collections.abc import Callable, Sequence

import numpy as np

from retrieval.encoders.mobilenetv2 import preprocess
from retrieval.encoders.tensorflow_quiet import keras, tf
from retrieval.errors import RetrievalError
from retrieval.features.extraction import SIZE
from retrieval.features.litert import load_encoder
from retrieval.features.normalising import l2_normalise
from retrieval.silence import standard_error_closed

# The largest distance, at unit length, between the features of a converted encoder and Keras's. In int8,
# ImageNet's MobileNetV2 differs by about 0.1; beyond the limit, 8 bits do not suit the encoder.
LIMIT = {"float32": 1e-4, "int8": 0.5}
CHECKED = 8  # images


def convert(
    encoder: keras.Model,
    *,
    preprocess: Callable[[np.ndarray | tf.Tensor], tf.Tensor] = preprocess,
    calibration: Sequence[np.ndarray] = (),
) -> bytes:
    """An encoder as the content of a `.tflite` file, which `litert.load_encoder` takes.

    It maps one uint8 image `[1, h, w, 3]` to float32 `[1, dim]`: preprocessing is included. The encoder
    itself maps float32 `[n, h, w, 3]`, in [-1, 1] unless another `preprocess` is given, to `[n, dim]`. Images
    are of any size, unless the encoder has one of its own. With images for `calibration`, each uint8
    `[h, w, 3]`, it computes in int8; without, in float32.

    Raises:
        RetrievalError: its features are too far from Keras's.
    """
    variables = (encoder.trainable_variables, encoder.non_trainable_variables)
    # The converter folds constants into one another; it would keep variables apart.
    weights = [[variable.numpy() for variable in group] for group in variables]
    module = tf.Module()
    module.forward = tf.function(
        lambda images: encoder.stateless_call(*weights, preprocess(images), training=False)[0],
        [tf.TensorSpec((1, *encoder.input_shape[1:]), tf.uint8)],
    )
    with standard_error_closed():
        functions = [module.forward.get_concrete_function()]
        converter = tf.lite.TFLiteConverter.from_concrete_functions(functions, module)
        if calibration:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([image[np.newaxis]] for image in calibration)
        model = converter.convert()
    size = encoder.input_shape[1] or SIZE
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    images = np.stack(calibration[:CHECKED] or [noise])
    expected = l2_normalise(encoder(preprocess(images), training=False).numpy())
    converted = l2_normalise(np.stack([*map(load_encoder(model, images.shape[1]), images)]))
    difference = np.linalg.norm(converted - expected, axis=1).max()
    limit = LIMIT["int8" if calibration else "float32"]
    if not difference <= limit:
        remedy = "give PRECISION=float32" if calibration else "install the versions of requirements.lock"
        raise RetrievalError(
            f"{encoder.name} as converted is {difference:.2g} from Keras's features at unit length, "
            f"more than {limit}: {remedy}"
        )
    return model
