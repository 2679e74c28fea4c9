"""Relevance feedback: a person judges images relevant or irrelevant, and the next ranking is better.

A method is a function of a query `[dim]`, the features of the judged images `[s, dim]` and a boolean `[s]`
that is true for the relevant ones. It returns a point `[dim]`: the next ranking is by Euclidean distance to
it. With features of unit length, this is the order of the inner product with the point. The point can
therefore be a moved query or the weights of a linear classifier.
"""

from collections.abc import Callable

import numpy as np

ALPHA, BETA, GAMMA = 1.0, 0.75, 0.15  # weights of the query, the relevant and the irrelevant images

Method = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def rocchio(
    query: np.ndarray,
    judged: np.ndarray,
    relevant: np.ndarray,
    *,
    alpha: float = ALPHA,
    beta: float = BETA,
    gamma: float = GAMMA,
) -> np.ndarray:
    """The query, moved by Rocchio's formula, `[dim]`: the usual `Method`.

        alpha * query + beta * mean(relevant) - gamma * mean(irrelevant)

    If no image is relevant, or none irrelevant, its term is zero (Rocchio, "Relevance feedback in information
    retrieval", in "The SMART Retrieval System", 1971; Manning, Raghavan and Schütze, "Introduction
    to Information Retrieval", 2008, section 9.1).

    >>> judged = np.array([[0.0, 1.0], [0.0, 3.0], [2.0, 0.0]])
    >>> rocchio(np.array([1.0, 0.0]), judged, np.array([True, True, False]))
    array([0.7, 1.5])
    """
    moved = alpha * query
    if relevant.any():
        moved = moved + beta * judged[relevant].mean(axis=0)
    if not relevant.all():
        moved = moved - gamma * judged[~relevant].mean(axis=0)
    return moved


def linear_classifier(index: np.ndarray, *, shrinkage: float = 10.0) -> Method:
    """A feedback method for unit rows: its point is the weights w, float64 `[dim]`, of a linear classifier.

        w = (I + C / (shrinkage * v))^-1 (positive - negative)

    This is Fisher's linear discriminant. C is the covariance of the whole gallery, because a few judged
    images are too few for one; v is the mean variance. `positive` is the mean of the query and the relevant
    images. `negative` is the average of two means: the irrelevant images and the whole gallery. The
    irrelevant images all lie near the query. A classifier trained on them alone would accept most of the
    gallery. Without irrelevant images, `negative` is the mean of the gallery (Hariharan, Malik and Ramanan,
    "Discriminative decorrelation for clustering and classification", ECCV 2012).

    The gallery is `index`, `[n_index, dim]`; its categories are not used. The larger `shrinkage`, above 0,
    the less the covariance counts, and the closer w comes to the difference of the means.

    >>> index = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # C = diag(8/3, 2/3)
    >>> classify = linear_classifier(index, shrinkage=1.0)
    >>> classify(np.array([2.6, 0.4]), np.array([[0.0, -2.0]]), np.array([False])).round(6)
    array([1., 1.])
    """
    centre = index.mean(axis=0, dtype=np.float64)
    covariance = np.atleast_2d(np.cov(index, rowvar=False, dtype=np.float64))
    # Rows that are all equal have no covariance to scale.
    scale = shrinkage * covariance.trace() / len(covariance) or 1.0
    decorrelate = np.linalg.inv(np.eye(len(covariance)) + covariance / scale)

    def classify(query: np.ndarray, judged: np.ndarray, relevant: np.ndarray) -> np.ndarray:
        positive, negative = np.vstack([query, judged[relevant]]).mean(axis=0), centre
        if not relevant.all():
            negative = (centre + judged[~relevant].mean(axis=0)) / 2
        return decorrelate @ (positive - negative)

    return classify


def support_vector_machine(
    index: np.ndarray, *, c: float = 1.0, negatives: int = 100, seed: int = 0
) -> Method:
    """A feedback method for unit rows: its point is the weights, float64 `[dim]`, of a linear SVM.

    The positives are the query and the relevant images. The negatives are the irrelevant images and some of
    the gallery, drawn once at random for all queries; a few may be relevant or judged (SVM for feedback: Tong
    and Chang, "Support vector machine active learning for image retrieval", ACM Multimedia 2001; random
    negatives: Arandjelovic and Zisserman, "Multiple queries for large scale specific object retrieval", BMVC
    2012). Both sides weigh the same, however many images they have.

    Args:
        index: the gallery, `[n_index, dim]`; its categories are not used.
        c: inverse strength of the regularisation, above 0.
        negatives: how many are drawn from the gallery; all, if it has no more.
        seed: of the draw.
    """
    from sklearn.svm import LinearSVC

    drawn = np.random.default_rng(seed).permutation(len(index))[:negatives]

    def classify(query: np.ndarray, judged: np.ndarray, relevant: np.ndarray) -> np.ndarray:
        rows = np.vstack([query, judged[relevant], judged[~relevant], index[drawn]])
        is_positive = np.arange(len(rows)) <= relevant.sum()
        machine = LinearSVC(C=c, class_weight="balanced", max_iter=10_000, random_state=0)
        return machine.fit(rows, is_positive).coef_[0].astype(np.float64)

    return classify
