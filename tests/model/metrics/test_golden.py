"""Published and official figures of the ASVspoof 2019 LA dev set, from its protocol, ASV scores and one published score file."""

from pathlib import Path

import pytest

from model.metrics import (
    AsvScores,
    ScoreTable,
    asv_error_rates,
    eer,
    min_dcf,
    min_tdcf_2019,
    min_tdcf_2021,
    read_asv_scores,
    read_score_table,
    refuse_other_corpus,
    t_eer,
)

pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="module")
def official(shared_data: Path) -> Path:
    return shared_data / "asvspoof2019_la"


@pytest.fixture(scope="module")
def asv(official: Path) -> AsvScores:
    return read_asv_scores(official / "ASVspoof2019_LA_asv_scores" / "ASVspoof2019.LA.asv.dev.gi.trl.scores.txt")


@pytest.fixture(scope="module")
def table(official: Path) -> ScoreTable:
    return read_score_table(
        official / "cm_scores" / "nesl_baseline_la_dev.txt",
        official / "ASVspoof2019_LA_cm_protocols" / "ASVspoof2019.LA.cm.dev.trl.txt",
    )


def test_the_published_dev_figures_are_met(table: ScoreTable, asv: AsvScores) -> None:
    refuse_other_corpus(asv, table)
    rates = asv_error_rates(asv)
    assert f"{100 * eer(table.bonafide, table.spoof).value:.4f}" == "0.4311"
    assert f"{min_tdcf_2019(table.bonafide, table.spoof, rates):.5f}" == "0.01227"
    assert f"{min_tdcf_2021(table.bonafide, table.spoof, rates):.5f}" == "0.07353"
    assert f"{min_dcf(table.bonafide, table.spoof):.5f}" == "0.01087"


def test_the_asv_system_has_its_published_error_rates(official: Path, asv: AsvScores) -> None:
    eval_scores = official / "ASVspoof2019_LA_asv_scores" / "ASVspoof2019.LA.asv.eval.gi.trl.scores.txt"
    assert f"{asv_error_rates(asv).eer:.2%}" == "2.43%"
    assert f"{asv_error_rates(read_asv_scores(eval_scores)).eer:.2%}" == "2.46%"


def test_a_good_countermeasure_leaves_the_tandem_little_worse_than_the_asv_system(
    table: ScoreTable, asv: AsvScores
) -> None:
    value = t_eer(table.bonafide, table.spoof, asv)
    assert value is not None
    assert asv_error_rates(asv).eer < value < 0.03


def test_asv_scores_of_eval_are_refused_for_dev(official: Path, table: ScoreTable) -> None:
    other = read_asv_scores(official / "ASVspoof2019_LA_asv_scores" / "ASVspoof2019.LA.asv.eval.gi.trl.scores.txt")
    with pytest.raises(ValueError, match=r"another corpus or split: it has no trial of attack A01, A02"):
        refuse_other_corpus(other, table)


def test_asv_scores_are_refused_for_another_corpus_of_the_same_layout(shared_data: Path, official: Path) -> None:
    from model.metrics import read_protocol, score_table

    protocol = read_protocol(
        shared_data / "minila" / "LA" / "ASVspoof2019_LA_cm_protocols" / "ASVspoof2019.LA.cm.eval.trl.txt"
    )
    assert protocol.labels is not None
    table = score_table(
        protocol.utterance_ids, range(len(protocol.utterance_ids)), protocol.labels, protocol.attack_ids
    )
    other = read_asv_scores(official / "ASVspoof2019_LA_asv_scores" / "ASVspoof2019.LA.asv.eval.gi.trl.scores.txt")
    with pytest.raises(ValueError, match=r"spoof trials per attack differ .*A07: 4,914 against 44"):
        refuse_other_corpus(other, table)
