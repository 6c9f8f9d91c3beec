from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from model.metrics import (
    ASVSPOOF5_TRACK2,
    SHIM2024,
    AsvErrorRates,
    AsvScores,
    MetricsError,
    a_dcf,
    asv_error_rates,
    min_tdcf_2019,
    min_tdcf_2021,
    read_asv_scores,
    refuse_other_corpus,
    score_table,
    summarise,
    t_eer,
    undefined_costs,
)

BONAFIDE, SPOOF = np.array([0.0, 2.0, 3.0, 4.0]), np.array([-3.0, -2.0, 1.0, 2.5])


def asv_scores(seed: int = 0, spoof_shift: float = 3.0) -> AsvScores:
    rng = np.random.default_rng(seed)
    return AsvScores(
        target=rng.normal(4, 1, 2000),
        nontarget=rng.normal(0, 1, 3000),
        spoof=rng.normal(spoof_shift, 1, 4000),
        spoof_attack_ids=np.full(4000, "A01"),
    )


def test_t_dcf_follows_the_formulas_of_both_papers() -> None:
    asv = AsvErrorRates(threshold=0.0, eer=0.1, miss=0.1, false_alarm=0.2, spoof_false_alarm=0.5)
    miss = np.array([0, 0, 0, 1, 1, 2, 2, 3, 4]) / 4
    false_alarm = np.array([4, 3, 2, 2, 1, 1, 0, 0, 0]) / 4
    # 2019: C1 = .9405 · (1 − .1) − .0095 · 10 · .2; C2 = 10 · .05 · .5
    first, second = 0.82745, 0.25
    assert min_tdcf_2019(BONAFIDE, SPOOF, asv) == pytest.approx(min(first * miss + second * false_alarm) / second)
    # 2021: C0 = .9405 · .1 + .0095 · 10 · .2; C1 = .9405 − C0; C2 = .05 · 10 · .5
    zeroth, first, second = 0.11305, 0.82745, 0.25
    expected = min(zeroth + first * miss + second * false_alarm) / (zeroth + second)
    assert min_tdcf_2021(BONAFIDE, SPOOF, asv) == pytest.approx(expected)


def test_t_dcf_with_a_useless_asv_system_is_refused() -> None:
    asv = AsvErrorRates(threshold=0.0, eer=1.0, miss=1.0, false_alarm=1.0, spoof_false_alarm=0.5)
    with pytest.raises(MetricsError, match="not defined with this ASV system"):
        min_tdcf_2019(BONAFIDE, SPOOF, asv)


def test_t_eer_of_a_perfect_countermeasure_is_the_eer_of_the_asv_system() -> None:
    asv = asv_scores()
    value = t_eer([10.0, 11.0, 12.0], [-10.0, -11.0], asv)
    assert value == pytest.approx(asv_error_rates(asv).eer, abs=1e-3)


def test_t_eer_of_normals_is_where_three_closed_forms_meet() -> None:
    rng = np.random.default_rng(3)
    asv = AsvScores(
        rng.normal(4, 1, 50_000), rng.normal(0, 1, 50_000), rng.normal(3, 1, 50_000), np.full(50_000, "A01")
    )
    value = t_eer(rng.normal(3, 1, 50_000), rng.normal(0, 1, 50_000), asv)
    below = np.vectorize(NormalDist().cdf)
    cm, tau = np.meshgrid(np.linspace(0, 3, 301), np.linspace(0, 4, 401))
    passed = 1 - below(cm - 3)
    miss = 1 - passed * (1 - below(tau - 4))
    nontarget, spoof = passed * (1 - below(tau)), (1 - below(cm)) * (1 - below(tau - 3))
    spread = np.maximum(np.abs(miss - nontarget), np.abs(miss - spoof))
    assert value == pytest.approx(float(miss.flat[np.argmin(spread)]), abs=0.003)


def test_t_eer_is_absent_where_the_asv_system_resists_spoofs_better_than_impostors() -> None:
    assert t_eer(BONAFIDE, SPOOF, asv_scores(spoof_shift=-30.0)) is None


def test_a_dcf_follows_its_formula() -> None:
    # Accept from 2.0: no target missed, one of two nontargets and one of four spoofs accepted.
    cost = a_dcf([2.0, 3.0], [1.0, 2.5], [0.0, 0.5, 1.0, 2.1])
    assert cost == pytest.approx(min(0.05 * 10 * 0.5 + 0.05 * 20 * 0.25, 0.9 * 0.5) / 0.9)


def test_the_a_dcf_of_asvspoof_5_has_the_priors_and_costs_of_its_t_dcf() -> None:
    """By hand from the formula of the paper: accept from 2.0 no target is missed, from 2.6 half of the targets are."""
    scores = [2.0, 3.0], [1.0, 2.5], [0.0, 0.5, 1.0, 2.1]
    accept_all, reject_all = 10 * 0.0095 + 10 * 0.05, 0.9405
    from_two, from_three = 10 * 0.0095 * 0.5 + 10 * 0.05 * 0.25, 0.9405 * 0.5
    assert a_dcf(*scores, ASVSPOOF5_TRACK2) == pytest.approx(min(from_two, from_three) / min(accept_all, reject_all))
    assert a_dcf(*scores, ASVSPOOF5_TRACK2) == pytest.approx(0.28991597, abs=1e-8)
    assert a_dcf(*scores, SHIM2024) == a_dcf(*scores) == pytest.approx(0.45 / 0.9)


def test_an_asv_system_that_accepts_no_spoof_leaves_the_defined_costs() -> None:
    asv = AsvErrorRates(threshold=0.0, eer=0.1, miss=0.1, false_alarm=0.2, spoof_false_alarm=0.0)
    assert list(undefined_costs(asv)) == ["min_tdcf_2019"]
    assert "accepts no spoof" in undefined_costs(asv)["min_tdcf_2019"]
    with pytest.raises(MetricsError, match="accepts no spoof"):
        min_tdcf_2019(BONAFIDE, SPOOF, asv)
    assert min_tdcf_2021(BONAFIDE, SPOOF, asv) == 1.0, "a countermeasure cannot help such a system"


def test_a_summary_stands_without_the_cost_that_is_not_defined() -> None:
    table = score_table(["B0", "B1", "S0", "S1"], [3.0, 1.0, 2.0, 0.0], [1, 1, 0, 0], ["-", "-", "A01", "A01"])
    asv = AsvScores(np.array([5.0, 6.0]), np.array([0.0, 1.0]), np.array([-3.0, -4.0]), np.array(["A01", "A01"]))
    summary = summarise(table, asv=asv, n_resamples=5)
    assert "min_tdcf_2019" not in summary
    assert summary["eer"] == 0.5
    assert "asv_eer" in summary


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines))
    return path


def cm_table(attacks: list[str]) -> object:
    ids = [f"S{i}" for i in range(len(attacks))]
    return score_table(
        ["B0", "B1", *ids], range(len(ids) + 2), [1, 1, *[0] * len(ids)], ["-", "-", *attacks], source="scores.txt"
    )


LINES = ("bonafide target 3.0", "bonafide nontarget -1.0", "A01 spoof 2.0", "A01 spoof 1.0", "A02 spoof 0.0")


def test_asv_scores_with_the_same_trials_per_attack_are_accepted(tmp_path: Path) -> None:
    asv = read_asv_scores(write(tmp_path / "asv.txt", *LINES))
    assert (len(asv.target), len(asv.nontarget), len(asv.spoof)) == (1, 1, 3)
    refuse_other_corpus(asv, cm_table(["A01", "A02", "A01"]))


def test_asv_scores_of_another_corpus_are_refused_unless_somebody_states_otherwise(tmp_path: Path) -> None:
    asv = read_asv_scores(write(tmp_path / "asv.txt", *LINES))
    with pytest.raises(MetricsError, match=r"A01: 2 against 1.*no utterance ids to tell.*--same-corpus"):
        refuse_other_corpus(asv, cm_table(["A01", "A02"]))
    refuse_other_corpus(asv, cm_table(["A01", "A02"]), stated_same=True)
    with pytest.raises(MetricsError, match="no trial of attack A03, only of A01, A02"):
        refuse_other_corpus(asv, cm_table(["A01", "A03"]), stated_same=True)
    with pytest.raises(MetricsError, match="the attack of 1 spoof trials is unknown"):
        refuse_other_corpus(asv, cm_table(["A01", "-"]))


def test_asv_scores_with_utterance_ids_are_checked_by_them(tmp_path: Path) -> None:
    lines = ("B0 bonafide target 3.0", "B1 bonafide nontarget -1.0", "S0 A01 spoof 2.0", "S9 A01 spoof 1.0")
    asv = read_asv_scores(write(tmp_path / "asv.txt", *lines))
    refuse_other_corpus(asv, cm_table(["A01"]))
    with pytest.raises(MetricsError, match=r"no trial of 1 of the 2 spoof utterances \(S1\)"):
        refuse_other_corpus(asv, cm_table(["A01", "A01"]))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("bonafide target 1", "A01 impostor 2"), "line 2: 'impostor'"),
        (("bonafide target 1", "A01 spoof 2"), "no nontarget trial"),
        (("bonafide target x", "bonafide nontarget 1", "A01 spoof 2"), r"line 1 \(bonafide\): 'x'"),
        (("bonafide 1",), "expected 3 fields"),
    ],
)
def test_malformed_asv_scores_are_refused(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(MetricsError, match=message):
        read_asv_scores(write(tmp_path / "asv.txt", *lines))
