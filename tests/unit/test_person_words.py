"""Probabilities and contributions in a person's words."""

import pytest

from loan_scoring.desk.words import deciding_percent, points_of_probability, probability_of


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.312, "31.2 %"),
        (0.3997, "39.97 %"),
        (0.39999, "39.999 %"),
        (0.4, "40.0 %"),
        (0.40003, "40.003 %"),
        (0.19996, "19.996 %"),
        (0.4 - 1e-9, "just below 40 %"),
    ],
)
def test_a_probability_near_a_threshold_shows_the_digits_that_decide(probability, text):
    assert deciding_percent(probability, (0.2, 0.4)) == text


@pytest.mark.parametrize("contributions", [[1.2, -0.4, 0.05], [0.5, -0.5], [3.0, -2.9999999], []])
def test_points_add_up_from_the_base_to_the_probability(contributions):
    points = points_of_probability(-1.1, contributions)
    assert probability_of(-1.1) + sum(points) == pytest.approx(
        probability_of(-1.1 + sum(contributions)), abs=1e-12
    )
    assert all(point * given >= 0 for point, given in zip(points, contributions, strict=True))


def test_a_missing_probability_has_no_text():
    assert deciding_percent(None, (0.2, 0.4)) is None
