"""The density against scikit-learn's own covariance, what it sees, and its file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from mri_tumor.errors import ArgumentError, ManifestMismatch
from mri_tumor.models.novelty import Density


def drawn(count: int, width: int = 20, seed: int = 0, rank: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Return features (count, width) of three classes that share a few strong directions, and labels."""
    rng = np.random.default_rng(seed)
    basis = np.random.default_rng(1)
    labels = np.arange(count) % 3
    means = basis.normal(0, 3, (3, width))
    strong = rng.normal(size=(count, rank)) * 4 @ basis.normal(size=(rank, width)) / 2
    features = means[labels] + strong + rng.normal(0, 0.5, (count, width))
    return features.astype(np.float32), labels


def test_distances_are_those_of_scikit_learns_covariance() -> None:
    features, labels = drawn(400)
    density = Density.fit(features, labels)
    apart = (features - np.asarray(density.means)[labels]) / density.scale
    pca = PCA(len(density.variances)).fit(apart)
    # Theirs divides by N - 1, ours by N - classes; both leave every other direction the mean of the rest.
    precision = pca.get_precision() * (len(features) - 3) / (len(features) - 1)
    every = (features[:, None] - density.means) / density.scale
    expected = np.einsum("nkf,fg,nkg->nk", every, precision, every).min(axis=1) / features.shape[1]
    np.testing.assert_allclose(density.distance(features), expected, rtol=2e-3)


@pytest.mark.parametrize(("count", "width"), [(600, 20), (60, 300)])
def test_new_pictures_of_the_kind_are_near_and_others_are_far(count: int, width: int) -> None:
    density = Density.fit(*drawn(count, width))
    new, _ = drawn(200, width, seed=5)
    usual = density.distance(new)
    assert 0.5 < usual.mean() < 3
    # Away from the strong directions by a few of the small deviations, where plain distance sees nothing.
    beside = new + np.random.default_rng(2).normal(0, 2.0, new.shape).astype(np.float32)
    assert (
        np.linalg.norm(beside - new, axis=1).mean()
        < 0.5 * np.linalg.norm(new - new.mean(axis=0), axis=1).mean()
    )
    assert density.distance(beside).min() > np.quantile(usual, 0.95)


def test_the_nearest_class_counts() -> None:
    features, labels = drawn(300)
    density = Density.fit(features, labels)
    np.testing.assert_allclose(density.distance(density.means), 0, atol=1e-6)
    assert density.distance(density.means[[0]] / 2 + density.means[[1]] / 2)[0] > 0


def test_few_pictures_give_few_directions() -> None:
    sizes = {count: len(Density.fit(*drawn(count, 40)).variances) for count in (7, 23, 99, 900)}
    assert sizes == {7: 1, 23: 5, 99: 24, 900: 40}


def test_a_feature_that_never_stirred_is_no_alarm_by_itself() -> None:
    features, labels = drawn(300, 100)
    features[:, 7] = 0
    density = Density.fit(features, labels)
    stirred = features[:50].copy()
    stirred[:, 7] = 0.05
    assert (density.distance(stirred) < 1.5 * density.distance(features[:50]) + 0.5).all()
    assert density.scale.min() > 0


def test_features_that_are_all_constant_can_be_measured() -> None:
    density = Density.fit(np.ones((10, 3), np.float32), np.arange(10) % 2)
    assert density.distance(np.ones((1, 3), np.float32))[0] == 0
    assert density.distance(np.zeros((1, 3), np.float32))[0] > 1


@given(st.integers(1, 7), st.integers(0, 400))
def test_who_else_is_in_the_batch_does_not_count(size: int, start: int) -> None:
    features, labels = drawn(407)
    density = Density.fit(features, labels)
    whole = density.distance(features)
    np.testing.assert_allclose(
        density.distance(features[start : start + size]), whole[start : start + size], rtol=1e-4
    )


def test_arrays_and_file_give_the_same_back(tmp_path: Path) -> None:
    features, labels = drawn(100)
    density = Density.fit(features, labels)
    assert {value.dtype for value in density.arrays().values()} == {np.dtype(np.float32)}
    density.save(tmp_path / "d.npz")
    first = (tmp_path / "d.npz").read_bytes()
    for again in (Density.from_arrays(density.arrays()), Density.load(tmp_path / "d.npz")):
        for name, value in density.arrays().items():
            np.testing.assert_array_equal(again.arrays()[name], value)
        np.testing.assert_array_equal(again.distance(features), density.distance(features))
    Density.fit(features, labels).save(tmp_path / "d.npz")
    assert (tmp_path / "d.npz").read_bytes() == first  # the same pictures give the same file


def test_nothing_to_measure() -> None:
    density = Density.fit(*drawn(100))
    assert density.distance(np.zeros((0, 20), np.float32)).shape == (0,)
    with pytest.raises(ArgumentError, match=r"shape \(2, 19\)"):
        density.distance(np.zeros((2, 19), np.float32))


@pytest.mark.parametrize(
    ("features", "labels", "words"),
    [
        (np.zeros(10), np.zeros(10, int), r"shape \(10,\)"),
        (np.zeros((10, 2)), np.zeros(9, int), "one label a row"),
        (np.zeros((10, 2)), np.zeros(10), "whole numbers"),
        (np.zeros((10, 0)), np.zeros(10, int), "features"),
        (np.zeros((0, 2)), np.zeros(0, int), "some of each class"),
        (np.zeros((10, 2)), np.full(10, 2), r"classes of \[0, 0, 10\]"),
        (np.zeros((10, 2)), np.arange(10) - 1, "some of each class"),
        (np.zeros((5, 2)), np.arange(5) % 2, "4 more than classes"),
        (np.full((10, 2), np.nan), np.arange(10) % 2, "not finite"),
    ],
)
def test_what_cannot_be_fitted(features: np.ndarray, labels: np.ndarray, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        Density.fit(features, labels)


@pytest.mark.parametrize(
    "change",
    [
        {"means": np.zeros((3, 19), np.float32)},
        {"means": np.zeros(20, np.float32)},
        {"scale": np.ones(20)},
        {"scale": np.zeros(20, np.float32)},
        {"directions": np.zeros((2, 20), np.float32)},
        {"variances": np.full(20, np.nan, np.float32)},
        {"residual": np.ones((), np.float32)},
        {"residual": np.array([-1], np.float32)},
        {"more": np.ones(1, np.float32)},
    ],
)
def test_arrays_that_are_no_density(change: dict[str, np.ndarray]) -> None:
    arrays = Density.fit(*drawn(100)).arrays()
    with pytest.raises(ManifestMismatch):
        Density.from_arrays(arrays | change)
    del arrays["scale"]
    with pytest.raises(ManifestMismatch, match="the arrays are"):
        Density.from_arrays(arrays)


@pytest.mark.parametrize("kind", ["text", "cut", "pickle", "packed", "missing"])
def test_files_that_are_none(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "d.npz"
    density = Density.fit(*drawn(100))
    density.save(path)
    if kind == "text":
        path.write_text("no archive")
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif kind == "pickle":
        np.savez(path, **(density.arrays() | {"scale": np.array([{"a": 1}], object)}), allow_pickle=True)
    elif kind == "packed":  # ten megabytes of zeros in ten kilobytes
        np.savez_compressed(path, **(density.arrays() | {"means": np.zeros((3, 10**6), np.float32)}))
    else:
        path.unlink()
    with pytest.raises(ManifestMismatch, match=r"d\.npz cannot be used"):
        Density.load(path)


def test_side_by_side_each_class_has_the_mean_of_the_distances():
    features, labels = drawn(60, 12)
    other, _ = drawn(60, 12, seed=1)
    parts = [Density.fit(one, labels) for one in (features, other)]
    both = Density.side_by_side(parts)
    seen = np.hstack([features, other])
    # The distance from one class is that of a density that knows no other.
    own = [
        [replace(one, means=one.means[[label]]).distance(part) for label in range(len(one.means))]
        for one, part in zip(parts, (features, other), strict=True)
    ]
    np.testing.assert_allclose(both.distance(seen), np.mean(own, axis=0).min(axis=0), rtol=1e-3)
