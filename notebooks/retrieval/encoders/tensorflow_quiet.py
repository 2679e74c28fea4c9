"""TensorFlow and Keras, imported without the log lines that no log level keeps off the terminal."""

import os

from retrieval.silence import standard_error_closed

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with standard_error_closed():
    import keras
    import tensorflow as tf

tf.get_logger().setLevel("ERROR")

__all__ = ["keras", "tf"]
