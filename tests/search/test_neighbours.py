"""Both ways of searching against comparing with every row in plain Python."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retrieval.search import neighbours
from retrieval.search.neighbours import nearest, prepare, rank_blocks

METHODS = ("kdtree", "exact")
# Few values in few dimensions: plenty of equal rows and equal distances.
POINTS = st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=40)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "INDEX_BLOCK", 7)
    for name, size in {"QUERY_BLOCK": 3, "PRODUCT_ROWS": 7, "PRODUCT_QUERIES": 2, "GROUP": 2}.items():
        monkeypatch.setattr(neighbours, name, size)


def slow_ranking(index: np.ndarray, query: np.ndarray) -> list[tuple[float, int]]:
    """(distance, position) of every row, nearest first, then by position."""
    return sorted((math.dist(row, query), position) for position, row in enumerate(index.tolist()))


def features(*shape: int, seed: int = 0) -> np.ndarray:
    """Like those of MobileNetV2: not negative, many zeros, float32."""
    return np.maximum(np.random.default_rng(seed).normal(size=shape), 0).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=60)
@given(points=POINTS, asked=POINTS, data=st.data())
def test_neighbours_are_those_of_the_slow_search_ties_included(method, points, asked, data):
    index, queries = np.array(points, np.float32), np.array(asked, np.float32)
    k = data.draw(st.integers(1, len(index)))
    distances, positions = nearest(index, queries, k, method=method)
    expected = [slow_ranking(index, query)[:k] for query in queries]
    assert positions.tolist() == [[position for _, position in ranking] for ranking in expected]
    np.testing.assert_allclose(distances, [[distance for distance, _ in ranking] for ranking in expected])


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=60)
@given(points=POINTS.filter(lambda points: len(points) > 1), data=st.data())
def test_leaving_one_out_is_searching_the_others(method, points, data):
    index = np.array(points, np.float32)
    k = data.draw(st.integers(1, len(index) - 1))
    distances, positions = nearest(index, index, k, method=method, exclude_self=True)
    for row, (found, near) in enumerate(zip(positions, distances, strict=True)):
        others = [pair for pair in slow_ranking(index, index[row]) if pair[1] != row][:k]
        assert found.tolist() == [position for _, position in others]
        np.testing.assert_allclose(near, [distance for distance, _ in others])


@settings(max_examples=60)
@given(points=POINTS, asked=POINTS, block=st.integers(1, 50))
@example(points=[(-1, 1), (2, 1), (1, 0), (-1, 0), (1, 2)], asked=[(0, -2)], block=1)  # a tie, unless cut
def test_full_rankings_are_those_of_the_slow_search_whatever_the_block(points, asked, block):
    index, queries = np.array(points, np.float32), np.array(asked, np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "RANKED", block * len(index))
        blocks = list(rank_blocks(index, queries))
    assert {len(ranking) for ranking in blocks[:-1]} <= {block}
    expected = [[position for _, position in slow_ranking(index, query)] for query in queries]
    assert np.concatenate(blocks).tolist() == expected


@settings(max_examples=60)
@given(points=POINTS, asked=POINTS, scale=st.sampled_from([0.25, 3, 1000]), shift=st.integers(-1000, 1000))
def test_ties_survive_scaling_shifting_and_quarter_turns(points, asked, scale, shift):
    def moved(rows: np.ndarray) -> np.ndarray:
        return scale * rows[:, ::-1] * [-1, 1] + shift

    index, queries = np.array(points), np.array(asked)
    expected = next(rank_blocks(index, queries))
    np.testing.assert_array_equal(next(rank_blocks(moved(index), moved(queries))), expected)
    for method in METHODS:
        _, positions = nearest(moved(index), moved(queries), len(index), method=method)
        np.testing.assert_array_equal(positions, expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("k", [1, 5, 30])
def test_blocks_do_not_show(small_blocks: None, method: str, k: int) -> None:
    index, queries = features(30, 64), features(11, 64, seed=1)
    distances, positions = nearest(index, queries, k, method=method)
    expected = [slow_ranking(index, query)[:k] for query in queries]
    assert positions.tolist() == [[position for _, position in ranking] for ranking in expected]
    expected_distances = [[distance for distance, _ in ranking] for ranking in expected]
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-12)  # not as float32 has it
    np.testing.assert_array_equal(np.concatenate(list(rank_blocks(index, queries)))[:, :k], positions)


def test_a_row_beyond_the_range_of_float32_is_found() -> None:
    index, queries = np.full((30, 3), 1.0), np.full((1, 3), 2e19)
    index[17] = 2e19
    index[20:] = -2e19
    with np.errstate(all="ignore"):
        distances, positions = nearest(index, queries, 1, method="exact")
    assert (distances[0, 0], positions[0, 0]) == (0.0, 17)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("k", [1, 2, 3, 10, 100, 3000])
def test_the_nearest_of_thousands(method: str, k: int) -> None:
    """NumPy sorts short rows that it need only partition: mistakes about the place k show in long ones."""
    index, queries = features(3000, 6), features(5, 6, seed=1)
    expected = [[position for _, position in slow_ranking(index, query)[:k]] for query in queries]
    assert nearest(index, queries, k, method=method)[1].tolist() == expected


def test_an_index_of_more_rows_than_a_short_integer_counts() -> None:
    index = np.arange(2**16 + 1.0)[::-1, np.newaxis]
    expected = np.arange(len(index))[::-1]
    np.testing.assert_array_equal(next(rank_blocks(index, np.zeros((1, 1))))[0], expected)
    assert nearest(index, np.zeros((1, 1)), 2, method="exact")[1].tolist() == [[2**16, 2**16 - 1]]


def test_a_query_in_the_centre_of_the_index() -> None:
    """Nothing is left of its squared distance from the row that lies there too."""
    index = np.array([[-1.0, 0], [0, 0], [1, 0]])
    assert next(rank_blocks(index, index[[1]])).tolist() == [[1, 0, 2]]
    assert nearest(index, index[[1]], 1, method="exact")[1].tolist() == [[1]]


@pytest.mark.parametrize("method", METHODS)
def test_copies_come_first_in_order_of_position(small_blocks: None, method: str) -> None:
    index = features(40, 1280)
    query = features(1, 1280, seed=1)
    index[[31, 4, 17, 9, 22]] = query
    index[[0, 11, 39]] = query + np.float32(0.01)
    distances, positions = nearest(index, query, 7, method=method)
    assert positions.tolist() == [[4, 9, 17, 22, 31, 0, 11]]
    assert (distances[0, :5] == 0).all() and distances[0, 5] == distances[0, 6] > 0
    assert nearest(index, query, 3, method=method)[1].tolist() == [[4, 9, 17]]  # a tie at the last place
    assert next(rank_blocks(index, query))[0, :8].tolist() == [4, 9, 17, 22, 31, 0, 11, 39]


@pytest.mark.parametrize("method", METHODS)
def test_near_duplicates_are_told_apart(method: str) -> None:
    """Far from the origin a squared distance from a product in float32 is off by more than these differ."""
    index = np.full((6, 1280), 100, np.float32)
    index[:, 0] += np.array([5, 3, 1, 4, 2, 6], np.float32) / 100
    query = np.full((1, 1280), 100, np.float32)
    distances, positions = nearest(index, query, 4, method=method)
    assert positions.tolist() == [[2, 4, 1, 3]]
    np.testing.assert_allclose(distances, [[0.01, 0.02, 0.03, 0.04]], rtol=1e-3)


def test_both_methods_give_the_same_neighbours_and_distances() -> None:
    index, queries = features(500, 200), features(40, 200, seed=1)
    by_tree, by_product = (nearest(index, queries, 10, method=method) for method in METHODS)
    np.testing.assert_array_equal(by_tree, by_product)


@pytest.mark.parametrize("method", METHODS)
def test_a_prepared_gallery_gives_the_very_same_in_every_search(small_blocks: None, method: str) -> None:
    index, queries = features(30, 64), features(11, 64, seed=1)
    gallery = prepare(index)
    for k in (1, 7, 30):
        expected = nearest(index, queries, k, method=method)
        np.testing.assert_array_equal(nearest(gallery, queries, k, method=method), expected)
    without_self = nearest(index, index, 5, method=method, exclude_self=True)
    np.testing.assert_array_equal(nearest(gallery, index, 5, method=method, exclude_self=True), without_self)


def test_a_gallery_is_prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = prepare(features(30, 64))
    monkeypatch.setattr(neighbours, "_blocks", None)
    assert nearest(gallery, features(2, 64, seed=1), 3, method="exact")[1].shape == (2, 3)


def test_equal_rows_are_ordered_by_position_in_rankings_beside_a_far_away_row() -> None:
    index = features(600, 640).repeat(2, axis=0)
    index[0] *= 100
    ranking = next(rank_blocks(index, features(3, 640, seed=1)))
    places = np.argsort(ranking, axis=1)
    assert (places[:, 3::2] == places[:, 2::2] + 1).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_pair_of_copies_at_the_last_place_needs_no_comparing_with_all(method: str, monkeypatch) -> None:
    index, queries = features(500, 200).repeat(2, axis=0), features(40, 200, seed=1)
    expected = nearest(index, queries, 4, method=method)[1]
    compared, compare = [], neighbours._compare
    monkeypatch.setattr(neighbours, "_compare", lambda *args: compared.append(args) or compare(*args))
    np.testing.assert_array_equal(nearest(index, queries, 3, method=method)[1], expected[:, :3])
    assert len(compared) == 1  # the candidates


def test_a_row_that_is_no_candidate_is_not_nearer_than_the_bound(small_blocks: None) -> None:
    """However much float32 rounds: around a point far from most, among copies, in many dimensions."""
    rng = np.random.default_rng(0)
    for dim, spread in ((1, 1), (3, 1e-4), (700, 1e-6), (700, 1e-2)):
        index = rng.normal(size=(60, dim))
        index[10:] = 5 + spread * rng.normal(size=(50, dim))
        index[50:] = index[40:50]
        queries = index[::4] + 0.1 * spread
        candidates, beyond = neighbours._product_candidates(prepare(index), queries, 3)
        for query, found, bound in zip(queries, candidates, beyond, strict=True):
            others = np.delete(index, found, axis=0)
            assert len(set(found)) == 3 + neighbours.SPARE_ROWS
            assert bound <= np.linalg.norm(others - query, axis=1).min() * (1 + 1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1, 1e15, 1e18, 1e25])
def test_both_methods_agree_where_float32_cannot_tell(scale: float) -> None:
    """Two crowds far apart, some of one at the same distance except for the order of their dimensions."""
    crowd = 1 + 1e-5 * np.random.default_rng(0).normal(size=(30, 40))
    index = scale * np.concatenate([crowd, -1e3 * crowd, crowd[:, ::-1], np.ones((20, 40))])
    queries = scale * np.concatenate([np.ones((2, 40)), crowd[:5] + 1e-7, -1e3 * crowd[:5]])
    with np.errstate(all="ignore"):
        by_tree, by_product = (nearest(index, queries, 21, method=method) for method in METHODS)
    np.testing.assert_array_equal(by_tree, by_product)
    expected = [[p for _, p in slow_ranking(index / scale, query / scale)[:20]] for query in queries[:2]]
    assert by_product[1][:2, :20].tolist() == expected == [list(range(90, 110))] * 2


@pytest.mark.parametrize(("copies", "asked", "k"), [(1, 210, 3), (1, 210, 400), (4000, 3, 3)])
def test_memory_is_that_of_blocks_whatever_the_size_of_the_index(copies: int, asked: int, k: int) -> None:
    """Except for some numbers a row: its position, and what one query compares with all. A block is full."""
    peaks = []
    for size in (20_000, 80_000):
        index, queries = features(size // copies, 16).repeat(copies, axis=0), features(asked, 16, seed=1)
        tracemalloc.start()
        nearest(index, queries, k, method="exact")
        next(rank_blocks(index, queries))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 5 * 8 * 60_000


@pytest.mark.parametrize("method", METHODS)
def test_types_and_shapes(method: str) -> None:
    for n_queries in (0, 1, 4):
        distances, positions = nearest(features(9, 5), features(n_queries, 5), 3, method=method)
        assert distances.shape == positions.shape == (n_queries, 3)
        assert (distances.dtype, positions.dtype) == (np.float64, np.int64)
    assert next(rank_blocks(features(9, 5), features(2, 5))).dtype == np.int64
    assert list(rank_blocks(features(9, 5), features(0, 5))) == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("exclude_self", [False, True])
def test_all_rows_are_given_if_there_are_fewer_than_k(method: str, exclude_self: bool) -> None:
    index = features(9, 5)
    all_of_them, more = (
        nearest(index, index, k, method=method, exclude_self=exclude_self) for k in (9 - exclude_self, 50)
    )
    np.testing.assert_array_equal(more, all_of_them)
    assert more[1].shape == (9, 9 - exclude_self)


@pytest.mark.parametrize("method", METHODS)
def test_what_cannot_be_searched_is_refused(method: str) -> None:
    index = features(9, 5)
    for rows, k, offered, exclude_self in ((9, 0, 9, False), (1, 3, 0, True)):
        with pytest.raises(ValueError, match=f"^the index offers {offered} neighbours, and k is 0$"):
            nearest(index[:rows], index[:rows], k, method=method, exclude_self=exclude_self)
    with pytest.raises(ValueError, match=r"^queries have 4 dimensions, the index 5$"):
        nearest(index, features(2, 4), 1, method=method)
    with pytest.raises(ValueError):
        nearest(index, features(2, 5), 1, method=method, exclude_self=True)  # not the index itself


def test_unknown_method_and_other_dimensions() -> None:
    with pytest.raises(ValueError, match=r"^method 'annoy' is unknown: use kdtree or exact$"):
        nearest(features(9, 5), features(2, 5), 1, method="annoy")
    with pytest.raises(ValueError, match=r"^queries have 4 dimensions, the index 5$"):
        next(rank_blocks(features(9, 5), features(2, 4)))


def test_recall_counts_rows_as_near_as_the_nearest() -> None:
    exact = np.array([[0.0, 1.0], [2.0, 2.0]])
    assert neighbours.recall(exact, exact) == neighbours.recall(exact[:, ::-1] * (1 + 1e-7), exact) == 1.0
    assert neighbours.recall(np.array([[0.0, 1.1], [2.1, 2.2]]), exact) == 0.25
