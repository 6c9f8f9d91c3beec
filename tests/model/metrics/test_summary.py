"""The summary of a split and its breakdowns."""

import json
from pathlib import Path

import numpy as np
import pytest

from model.metrics import (
    HEADLINES,
    AsvScores,
    InvertedLabelsWarning,
    MetricsError,
    ScoreTable,
    by_attack,
    by_duration,
    by_group,
    by_speaker,
    dev_threshold,
    eer,
    score_table,
    summarise,
)

N = 150


@pytest.fixture
def table() -> ScoreTable:
    """A01 is easy, A02 hard, A03 separable; speaker s0 has no spoof trial."""
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 0, 0, 0], N)
    attacks = np.repeat(["-", "A01", "A02", "A03"], N)
    scores = rng.normal(0, 1, 4 * N) + np.repeat([3.0, 0.0, 2.0, -50.0], N)
    speakers = np.array([f"s{1 + i % 4}" for i in range(4 * N)])
    speakers[:10] = "s0"
    return score_table([f"u{i}" for i in range(4 * N)], scores, labels, attacks, speakers, "eval")


@pytest.fixture
def asv() -> AsvScores:
    rng = np.random.default_rng(1)
    return AsvScores(
        rng.normal(4, 1, 500), rng.normal(0, 1, 500), rng.normal(3, 1, 3 * N), np.repeat(["A01", "A02", "A03"], N)
    )


def test_a_summary_holds_scalars_only_under_documented_names(
    table: ScoreTable, asv: AsvScores, repository: Path
) -> None:
    summary = summarise(table, threshold=1.0, asv=asv, n_resamples=20)
    documentation = (repository / "docs" / "metrics.md").read_text()
    per_attack = summary.pop("per_attack")
    for name in [*summary, *(name for values in per_attack.values() for name in values)]:
        base = name.removesuffix("_ci95_low").removesuffix("_ci95_high")
        assert f"`{base}`" in documentation, base
    for values in (summary, *per_attack.values()):
        assert all(type(value) in (int, float) for value in values.values()), values
    for name in HEADLINES:
        assert summary[f"{name}_ci95_low"] <= summary[name] <= summary[f"{name}_ci95_high"], name
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_without_asv_scores_the_tandem_costs_are_absent(table: ScoreTable) -> None:
    assert not [name for name in summarise(table) if "tdcf" in name or name in ("t_eer", "asv_eer")]


def test_without_resamples_there_are_no_intervals(table: ScoreTable) -> None:
    assert not [name for name in summarise(table) if "ci95" in name]


def test_accuracy_depends_on_the_threshold_given_and_eer_does_not(table: ScoreTable) -> None:
    own, given = summarise(table), summarise(table, threshold=-100.0)
    assert own["threshold"] == own["eer_threshold"] == given["eer_threshold"] == dev_threshold(table)
    assert given["eer"] == own["eer"]
    assert (given["recall"], given["balanced_accuracy"]) == (1.0, 0.5)


def test_the_order_of_lines_changes_no_number(table: ScoreTable, asv: AsvScores) -> None:
    order = np.random.default_rng(5).permutation(len(table))
    shuffled = score_table(
        table.utterance_ids[order], table.scores[order], table.labels[order], table.attack_ids[order], source="eval"
    )
    assert summarise(shuffled, asv=asv) == summarise(table, asv=asv)


def test_asv_scores_of_another_corpus_stop_the_summary(table: ScoreTable, asv: AsvScores) -> None:
    other = AsvScores(asv.target, asv.nontarget, asv.spoof[:100], asv.spoof_attack_ids[:100])
    with pytest.raises(MetricsError, match="another corpus"):
        summarise(table, asv=other)


def test_inverted_labels_warn_with_the_name_of_the_scores(table: ScoreTable) -> None:
    inverted = table.with_scores(-table.scores)
    with pytest.warns(InvertedLabelsWarning, match=r"eval: EER is .*Labels may be inverted"):
        summarise(inverted)
    with pytest.warns(InvertedLabelsWarning, match="eval: EER"):
        dev_threshold(inverted)


def test_attacks_are_set_against_all_bona_fide_the_worst_first(table: ScoreTable) -> None:
    parts = by_attack(table, threshold=1.0)
    assert [part.name for part in parts] == ["A02", "A01", "A03"]
    assert {(part.n_bonafide, part.n_spoof) for part in parts} == {(N, N)}
    hardest = table.spoof[N : 2 * N]
    assert parts[0].eer == eer(table.bonafide, hardest).value
    assert parts[0].false_alarm == np.mean(hardest >= 1.0)
    assert parts[0].miss == np.mean(table.bonafide < 1.0)


def test_an_attack_without_an_error_has_an_interval_that_says_how_little_is_known(table: ScoreTable) -> None:
    separable = by_attack(table, n_resamples=20)[-1]
    assert separable.eer == 0
    assert separable.eer_interval is not None
    assert separable.eer_interval == pytest.approx((0.0, 0.0243), abs=1e-4)


def test_speakers_with_one_class_come_last_and_have_no_eer(table: ScoreTable) -> None:
    parts = by_speaker(table, threshold=1.0)
    assert parts[-1].name == "s0"
    assert (parts[-1].eer, parts[-1].false_alarm, parts[-1].n_spoof) == (None, None, 0)
    rates = [part.eer for part in parts[:-1] if part.eer is not None]
    assert rates == sorted(rates, reverse=True)
    assert sum(part.n_bonafide + part.n_spoof for part in parts) == len(table)


def test_durations_fall_into_bins(table: ScoreTable) -> None:
    durations = np.tile([0.5, 1.0, 2.5, 9.0], N)
    parts = by_duration(table, durations, edges_s=(1.0, 2.0, 5.0))
    assert {part.name: part.n_bonafide + part.n_spoof for part in parts} == {
        "< 1 s": N,
        "1-2 s": N,
        "2-5 s": N,
        ">= 5 s": N,
    }


def test_unknown_groups_are_left_out_and_lengths_must_match(table: ScoreTable) -> None:
    genders = np.array(["f", "m", "-"] * (4 * N // 3))
    assert {part.name for part in by_group(table, genders)} == {"f", "m"}
    with pytest.raises(MetricsError, match="group names for 600 utterances"):
        by_group(table, ["f"])
