"""The three parts of a data set, and the images of one of them with their features."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Part:
    """The images of a part and one kind of features of them: row i of each belongs to image i.

    Attributes:
        features: float32 `[n, dim]`.
        categories: `[n]` strings.
        files: `[n]` strings, relative to the data folder.
        groups: `[n]` integers, equal for duplicates.
    """

    features: np.ndarray
    categories: np.ndarray
    files: np.ndarray
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.files)

    def with_features(self, features: np.ndarray) -> Part:
        """The same images with other features, `[n, dim]`."""
        return replace(self, features=features)

    def take(self, rows: np.ndarray) -> Part:
        """Some of the images; `rows` are positions, or booleans `[n]`."""
        return Part(self.features[rows], self.categories[rows], self.files[rows], self.groups[rows])
