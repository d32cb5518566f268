"""Checks and medians of half precision by their bits agree with NumPy's by their values."""

import numpy as np
import pytest

from birdnet_nl.util.float16 import is_finite, lower_median


@pytest.mark.parametrize("columns", [1, 2, 7, 1000])
def test_the_lower_median_is_that_of_the_sorted_values(columns):
    values = np.random.default_rng(columns).normal(0, 30, (50, columns)).astype(np.float16)
    values[0] = -np.float16(0)
    values[1] = np.linspace(-3e-7, 3e-7, columns)  # below the smallest normal number
    expected = np.sort(values, axis=1)[:, (columns - 1) // 2, None]
    np.testing.assert_array_equal(lower_median(values), expected)
    assert lower_median(values).dtype == np.float16


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -np.nan])
def test_a_value_that_is_no_finite_number_is_found(value):
    values = np.array([[-65504, 65504, 0, -0.0]], dtype=np.float16)
    assert is_finite(values)
    values[0, 2] = value
    assert not is_finite(values)
