import numpy as np

from mri_tumor.dataset.augment import apply
from mri_tumor.dataset.augment.noise import normal

GREY = np.full((1, 200, 200, 1), 128, np.uint8)


def test_noise_is_normal_with_this_deviation() -> None:
    found = normal(5, (500, 500)).ravel().astype(float)
    assert abs(found.mean()) < 0.01
    assert abs(found.std() - 1) < 0.005
    assert abs((found**3).mean()) < 0.02
    assert abs((found**4).mean() - 3) < 0.06
    # Quantiles of the normal distribution.
    for level, share in ((-2.326, 0.01), (-1.0, 0.1587), (0.0, 0.5), (1.645, 0.95), (3.09, 0.999)):
        assert abs((found < level).mean() - share) < 0.003
    assert 4 < abs(found).max() < 4.4


def test_neighbours_and_seeds_are_independent() -> None:
    one, other = normal(5, (300, 300)).astype(float), normal(6, (300, 300)).astype(float)
    for first, second in ((one, other), (one[1:], one[:-1]), (one[:, 1:], one[:, :-1])):
        assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.02


def test_sigma_is_in_grey_levels() -> None:
    for sigma in (2.0, 10.0):
        made = apply(GREY, noise=sigma, noise_seed=1).numpy().astype(float)
        assert abs(made.mean() - 128) < 0.2
        # Rounding adds the variance of a twelfth.
        assert abs(made.std() - np.sqrt(sigma**2 + 1 / 12)) < 0.02 * sigma


def test_noise_is_the_same_for_ever() -> None:
    np.testing.assert_allclose(normal(3, (2, 2)), [[0.64175, -1.18720], [0.91654, 0.32753]], atol=1e-4)
    assert apply(GREY[:, :2, :2], noise=10.0, noise_seed=3).numpy().ravel().tolist() == [134, 116, 137, 131]


def test_noise_is_added_last_and_clips() -> None:
    black = apply(0 * GREY, noise=10.0, noise_seed=2).numpy()
    assert 0.47 < (black == 0).mean() < 0.55
    late = apply(apply(GREY, gamma=2.0), noise=10.0, noise_seed=2)
    np.testing.assert_array_equal(apply(GREY, gamma=2.0, noise=10.0, noise_seed=2), late)


def test_no_noise_is_identity() -> None:
    np.testing.assert_array_equal(apply(GREY, noise=0.0, noise_seed=2), GREY)
