"""Features brought to a common scale: rows of unit length, or a whole array in [0, 1]."""

import numpy as np


def min_max(features: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Features `[n, dim]` scaled so the range of other features, `[m, dim]`, becomes [0, 1]; float32.

    The range is a single one over all rows and columns. The reported work does not say which images its
    range comes from. Taken from train and applied to every part, it keeps the test images unseen; their
    values may leave [0, 1] a little.

    Raises:
        ValueError: all values of `like` are the same.

    >>> min_max(np.array([[1.0, 5.0], [3.0, 6.0]]), like=np.array([[1.0, 5.0]]))
    array([[0.  , 1.  ],
           [0.5 , 1.25]], dtype=float32)
    """
    low, high = float(like.min()), float(like.max())
    if low == high:
        raise ValueError(f"all features are {low}: there is no range to scale by")
    return ((features - low) / (high - low)).astype(np.float32)


def l2_normalise(features: np.ndarray) -> np.ndarray:
    """Rows scaled to Euclidean length 1, float32 `[n, dim]`; rows of zeros stay as they are.

    >>> l2_normalise(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.where(lengths > 0, lengths, 1)).astype(np.float32)
