import numpy as np
import pytest

from model.metrics import Fusion, MetricsError, cllr, eer, fit_fusion, parse_scores, refit, scores_side_by_side

N = 4000


def two_systems(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihood ratios of two independent systems, of separation 1 and 2: [N, 2] per class."""
    draw = np.random.default_rng(seed)
    separation = np.array([1.0, 2.0])
    noise = draw.normal(size=(2, N, 2)) * separation
    return noise[0] + separation**2 / 2, noise[1] - separation**2 / 2


def test_ratios_of_independent_systems_are_added() -> None:
    found = fit_fusion(*two_systems())

    assert found.weights == pytest.approx([1.0, 1.0], abs=0.12)
    assert found.intercept == pytest.approx(0.0, abs=0.12)


def test_scale_and_offset_of_a_system_do_not_change_the_fused_ratios() -> None:
    bonafide, spoof = two_systems()
    scale, offset = np.array([0.01, 300.0]), np.array([5.0, -1000.0])

    plain = fit_fusion(bonafide, spoof)
    other = fit_fusion(bonafide * scale + offset, spoof * scale + offset)

    assert other.apply(bonafide * scale + offset) == pytest.approx(plain.apply(bonafide), abs=1e-6)


def test_a_fusion_is_better_than_each_system_and_honest_on_new_trials() -> None:
    fusion = fit_fusion(*two_systems())
    bonafide, spoof = two_systems(seed=1)
    fused = fusion.apply(bonafide), fusion.apply(spoof)

    for system in range(2):
        assert eer(*fused).value < eer(bonafide[:, system], spoof[:, system]).value
        assert cllr(*fused) < cllr(bonafide[:, system], spoof[:, system])
    assert refit(*fused).slope == pytest.approx(1.0, abs=0.1)


def test_separable_scores_and_equal_systems_give_finite_weights() -> None:
    draw = np.random.default_rng(0)
    bonafide, spoof = draw.normal(10, 1, (50, 1)), draw.normal(-10, 1, (60, 1))

    found = fit_fusion(np.repeat(bonafide, 2, axis=1), np.repeat(spoof, 2, axis=1))

    assert np.isfinite(found.weights).all()
    assert found.weights[0] == pytest.approx(found.weights[1])
    assert np.abs(found.apply([[10.0, 10.0], [-10.0, -10.0]])).max() < 20


def test_a_weighted_sum_is_what_it_says() -> None:
    assert Fusion(np.array([2.0, -1.0]), 0.5, 0.5).apply([[1.0, 3.0], [0.0, 0.0]]).tolist() == [-0.5, 0.5]


def test_a_fusion_needs_both_classes_and_finite_scores() -> None:
    bonafide, spoof = two_systems()
    with pytest.raises(MetricsError, match="both classes"):
        fit_fusion(bonafide, spoof[:0])
    with pytest.raises(MetricsError, match="finite"):
        fit_fusion(bonafide * np.nan, spoof)


def test_systems_are_joined_by_utterance_in_the_order_of_the_first() -> None:
    first = parse_scores("a 1\nb 2\nc 3\n", "first.txt")
    second = parse_scores("c 30\na 10\nb 20\n", "second.txt")

    assert scores_side_by_side([first, second]).tolist() == [[1, 10], [2, 20], [3, 30]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1\nc 3\n", "second.txt: no score for 1 utterances that first.txt scores: b"),
        ("a 1\nb 2\nc 3\nd 4\n", "first.txt: no score for 1 utterances that second.txt scores: d"),
        ("a - spoof 1\nb - spoof 2\nc - spoof 3\n", "first.txt and second.txt contradict each other on the label of a"),
    ],
)
def test_systems_that_do_not_belong_together_are_refused_by_file_and_utterance(text: str, message: str) -> None:
    first = parse_scores("a - bonafide 1\nb - spoof 2\nc - spoof 3\n", "first.txt")
    with pytest.raises(MetricsError, match=message):
        scores_side_by_side([first, parse_scores(text, "second.txt")])
