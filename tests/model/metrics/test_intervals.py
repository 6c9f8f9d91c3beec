from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from model.metrics import (
    DetCurve,
    MetricsError,
    ScoreTable,
    bootstrap,
    drawn_cluster,
    eer,
    headline_statistic,
    paired_bootstrap,
    score_table,
    summarise,
)
from model.metrics.intervals import no_error_bound
from model.metrics.rates import eer_of_curve


def normals(
    n_bonafide: int, n_spoof: int, distance: float, seed: int, *, n_speakers: int = 5, noise: float = 0.0
) -> ScoreTable:
    rng = np.random.default_rng(seed)
    n = n_bonafide + n_spoof
    labels = np.repeat([1, 0], [n_bonafide, n_spoof])
    speakers = rng.integers(0, n_speakers, n)
    scores = rng.normal(0, 1, n) + distance * labels + noise * rng.normal(0, 1, n_speakers)[speakers]
    attacks = np.where(labels == 1, "-", np.char.add("A0", rng.integers(1, 4, n).astype(str)))
    return score_table([f"u{i}" for i in range(n)], scores, labels, attacks, np.char.add("s", speakers.astype(str)))


def eer_statistic(curve: DetCurve) -> dict[str, float]:
    return {"eer": eer_of_curve(curve).value}


def test_intervals_hold_the_value_and_shrink_with_more_trials() -> None:
    widths = []
    for n in (200, 3200):
        table = normals(n, n, 2.0, 1)
        low, high = bootstrap(table, eer_statistic, n_resamples=300)["eer"]
        assert low < eer(table.bonafide, table.spoof).value < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2.5


def test_equal_distributions_are_chance_within_the_interval() -> None:
    low, high = bootstrap(normals(500, 500, 0.0, 2), eer_statistic, n_resamples=300)["eer"]
    assert low < 0.5 < high


def test_one_seed_gives_one_result_whatever_the_order_of_lines_has_no_part_in_the_value() -> None:
    table = normals(100, 200, 1.0, 3)
    statistic = headline_statistic(table, 0.5)
    assert bootstrap(table, statistic, n_resamples=50, seed=4) == bootstrap(table, statistic, n_resamples=50, seed=4)
    assert bootstrap(table, statistic, n_resamples=50, seed=4) != bootstrap(table, statistic, n_resamples=50, seed=5)


def test_every_metric_of_a_resample_is_that_of_the_repeated_trials() -> None:
    table = normals(40, 60, 1.0, 5)
    statistic = headline_statistic(table, 0.5)
    seen: list[tuple[DetCurve, dict[str, float]]] = []

    def spy(curve: DetCurve) -> dict[str, float]:
        seen.append((curve, statistic(curve)))
        return seen[-1][1]

    bootstrap(table, spy, n_resamples=5)
    for curve, values in seen:
        bonafide = np.repeat(curve.scores, curve.bonafide_counts.astype(int))
        spoof = np.repeat(curve.scores, curve.spoof_counts.astype(int))
        assert (len(bonafide), len(spoof)) == (40, 60)
        repeated = score_table(
            [f"r{i}" for i in range(100)], np.concatenate((bonafide, spoof)), np.repeat([1, 0], [40, 60])
        )
        assert values == pytest.approx(headline_statistic(repeated, 0.5)(repeated.curve))


def test_drawing_whole_speakers_widens_intervals_when_speakers_differ() -> None:
    table = normals(1000, 1000, 2.0, 6, n_speakers=10, noise=1.5)

    def accuracy_at_one(curve: DetCurve) -> dict[str, float]:
        return {"miss": curve.rates(1.0)[0]}

    single = bootstrap(table, accuracy_at_one, n_resamples=300)["miss"]
    clustered = bootstrap(table, accuracy_at_one, n_resamples=300, cluster="speaker")["miss"]
    assert clustered.high - clustered.low > 2 * (single.high - single.low)


def test_drawing_whole_attacks_widens_intervals_when_attacks_differ() -> None:
    table = normals(1000, 1500, 2.0, 7)
    strong = table.with_scores(table.scores + 2.0 * (table.attack_ids == "A01"))
    single = bootstrap(strong, eer_statistic, n_resamples=200)["eer"]
    clustered = bootstrap(strong, eer_statistic, n_resamples=200, cluster="attack")["eer"]
    assert clustered.high - clustered.low > 3 * (single.high - single.low)


def test_unknown_clusters_are_refused() -> None:
    table = score_table(["a", "b", "c"], [2.0, 1.0, 0.0], [1, 0, 0])
    with pytest.raises(MetricsError, match=r"the speaker of 3 trials is unknown \(-\)"):
        bootstrap(table, eer_statistic, cluster="speaker")
    alone = score_table(["a", "b", "c"], [2.0, 1.0, 0.0], [1, 0, 0], ["-", "A01", "A01"])
    with pytest.raises(MetricsError, match=r"all trials have one attack \(A01\)"):
        bootstrap(alone, eer_statistic, cluster="attack")


def test_a_clearly_better_system_is_significant_and_an_equal_one_is_not() -> None:
    a = normals(400, 400, 1.0, 8)
    rng = np.random.default_rng(9)
    better = a.with_scores(a.scores + 1.0 * a.labels)
    same = a.with_scores(a.scores + rng.normal(0, 0.05, len(a)))
    found = paired_bootstrap(a, better, eer_statistic, eer_statistic, n_resamples=200)["eer"]
    assert found.difference == pytest.approx(found.b - found.a)
    assert found.low <= found.difference <= found.high < 0
    assert found.p_value == pytest.approx(1 / 201)
    assert paired_bootstrap(a, same, eer_statistic, eer_statistic, n_resamples=200)["eer"].p_value > 0.05


def test_a_system_does_not_differ_from_itself_in_another_order() -> None:
    a = normals(50, 70, 1.0, 10)
    order = np.random.default_rng(0).permutation(len(a))
    b = score_table(a.utterance_ids[order], a.scores[order], a.labels[order])
    found = paired_bootstrap(a, b, eer_statistic, eer_statistic, n_resamples=50)["eer"]
    assert (found.difference, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_pairing_gives_a_narrower_interval_than_two_separate_samples() -> None:
    a = normals(400, 400, 1.0, 11)
    b = a.with_scores(a.scores + np.random.default_rng(12).normal(0, 0.3, len(a)))
    paired = paired_bootstrap(a, b, eer_statistic, eer_statistic, n_resamples=200)["eer"]
    alone = bootstrap(a, eer_statistic, n_resamples=200)["eer"]
    assert paired.high - paired.low < alone.high - alone.low


def test_systems_that_scored_different_clips_are_not_compared() -> None:
    a = score_table(["a", "b", "c"], [2.0, 1.0, 0.0], [1, 0, 0], source="A")
    b = score_table(["a", "b", "d"], [2.0, 1.0, 0.0], [1, 0, 0], source="B")
    with pytest.raises(MetricsError, match=r"A and B do not score the same utterances .* only one of them has c"):
        paired_bootstrap(a, b, eer_statistic, eer_statistic)
    c = score_table(["a", "b", "c"], [2.0, 1.0, 0.0], [1, 1, 0], source="C")
    with pytest.raises(MetricsError, match="contradict each other on the label of b"):
        paired_bootstrap(a, c, eer_statistic, eer_statistic)


def test_no_error_in_n_trials_leaves_about_three_and_a_half_over_n() -> None:
    assert no_error_bound(1000) == pytest.approx(3.69 / 1000, rel=0.01)
    assert (1 - no_error_bound(50)) ** 50 == pytest.approx(0.025)


@pytest.mark.slow
def test_intervals_cover_the_truth_in_95_of_100_simulated_sets() -> None:
    truth = NormalDist().cdf(-1.0)
    covered = 0
    for seed in range(400):
        interval = bootstrap(normals(500, 1000, 2.0, seed), eer_statistic, n_resamples=400, seed=seed)["eer"]
        covered += interval.low <= truth <= interval.high
    assert 0.93 <= covered / 400 <= 0.97


def attacks_of_unlike_success(n_attacks: int) -> ScoreTable:
    """Every other attack is always accepted."""
    n = 40
    draw = np.random.default_rng(0)
    attacks = np.repeat([f"A{number:02d}" for number in range(n_attacks)], n)
    spoof = draw.normal(np.repeat([3.0 * (number % 2) for number in range(n_attacks)], n), 0.5)
    genuine = draw.normal(2.0, 0.5, 300)
    labels = np.repeat([1, 0], [300, len(spoof)])
    speakers = np.array([f"s{number % 7}" for number in range(len(labels))])
    return score_table(
        [str(number) for number in range(len(labels))],
        np.concatenate((genuine, spoof)),
        labels,
        np.concatenate((np.full(300, "-"), attacks)),
        speakers,
    )


def test_whole_attacks_are_drawn_by_default_where_there_are_five() -> None:
    five, four = attacks_of_unlike_success(5), attacks_of_unlike_success(4)
    assert (drawn_cluster(five), drawn_cluster(four)) == ("attack", None)
    assert drawn_cluster(five, None) is None
    unnamed = replace(five, attack_ids=np.full(len(five), "-"))
    assert drawn_cluster(unnamed) is None


def test_a_summary_has_the_interval_of_everything_that_can_be_drawn() -> None:
    table = attacks_of_unlike_success(6)
    found = summarise(table, n_resamples=60, cluster="auto")
    width = {name: found[f"eer{name}_ci95_high"] - found[f"eer{name}_ci95_low"] for name in ("", "_clip", "_speaker")}
    assert width[""] > 2 * width["_clip"], "other attacks say more than other clips"
    assert "eer_attack_ci95_low" not in found, "it is the interval of the EER itself"
    of_clips = summarise(table, n_resamples=60)
    assert of_clips["eer_attack_ci95_high"] == found["eer_ci95_high"]
    assert of_clips["eer_ci95_high"] == found["eer_clip_ci95_high"]
