"""What is drawn to look at."""

import numpy as np

from retrieval.evaluation.sampling import contribution, good_and_bad

RIGHT = np.arange(30)[:, np.newaxis] % 4 > np.arange(3)  # 0 to 3 right results, in turn


def test_good_and_bad_queries_are_the_best_and_the_worst() -> None:
    drawn = good_and_bad(RIGHT, count=3, seed=0)
    assert RIGHT[drawn].sum(axis=1).tolist() == [3, 3, 3, 0, 0, 0]
    assert len(set(drawn)) == 6


def test_another_seed_draws_other_queries() -> None:
    drawn = {seed: tuple(good_and_bad(RIGHT, seed=seed)) for seed in range(5)}
    assert len(set(drawn.values())) > 1 and drawn[0] == tuple(good_and_bad(RIGHT, seed=0))


def test_queries_that_are_equally_good_are_drawn_once() -> None:
    drawn = good_and_bad(np.ones((5, 3), bool), seed=0)
    assert len(set(drawn)) == len(drawn) == 2
    assert good_and_bad(np.ones((1, 3), bool), seed=0).tolist() == [0]


def test_contributions_are_shares_of_squared_distances() -> None:
    features = np.random.default_rng(0).normal(size=(50, 6))
    features[:, 0] *= 100
    first, all_of_it = contribution(features, 1, seed=0), contribution(features, 6, seed=0)
    assert first.min() >= 0 and 0.9 < np.median(first) <= 1
    np.testing.assert_allclose(all_of_it, 1)


def test_pairs_of_equal_rows_contribute_nothing() -> None:
    shares = contribution(np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]), 1, seed=0)
    assert 0 < len(shares) < 2000 and (shares == 0.5).all()
