"""Content-based image retrieval, one module per concept; see the README for the map."""

import os

# TensorFlow reads this when it is first imported, wherever that happens.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
