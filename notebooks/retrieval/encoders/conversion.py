"""Encoders converted for LiteRT, which runs them without TensorFlow and in half of Keras's time."""

from collections.abc import Callable

import numpy as np

from retrieval.encoders.mobilenetv2 import preprocess
from retrieval.encoders.tensorflow_quiet import keras, tf
from retrieval.errors import RetrievalError
from retrieval.features.extraction import SIZE
from retrieval.features.litert import load_encoder
from retrieval.silence import standard_error_closed

# The largest difference between the features of a converted encoder and Keras's.
TOLERANCE = 1e-4


def convert(
    encoder: keras.Model, *, preprocess: Callable[[np.ndarray | tf.Tensor], tf.Tensor] = preprocess
) -> bytes:
    """An encoder as the content of a `.tflite` file, which `litert.load_encoder` takes.

    It maps one uint8 image `[1, h, w, 3]` to float32 `[1, dim]`: preprocessing is included. The encoder
    itself maps float32 `[n, h, w, 3]`, in [-1, 1] unless another `preprocess` is given, to `[n, dim]`. Images
    are of any size, unless the encoder has one of its own.

    Raises:
        RetrievalError: its features differ from Keras's by more than TOLERANCE.
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
        model = tf.lite.TFLiteConverter.from_concrete_functions(functions, module).convert()
    size = encoder.input_shape[1] or SIZE
    image = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    expected = encoder(preprocess(image[np.newaxis]), training=False).numpy()[0]
    difference = np.abs(load_encoder(model, size)(image) - expected).max()
    if not difference <= TOLERANCE:
        raise RetrievalError(
            f"{encoder.name} as converted differs from Keras's features by {difference:.2g}, more than "
            f"{TOLERANCE}: install the versions of requirements.lock"
        )
    return model
