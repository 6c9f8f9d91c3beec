import numpy as np
import pytest

from model.metrics import ScoreTable, attack_aliases, by_seen, eer, score_table, seen_as, without_twins

LA_TRAIN = [f"A{number:02d}" for number in range(1, 7)]
LA_EVAL = [f"A{number:02d}" for number in range(7, 20)]


def test_twins_and_bona_fide_are_no_attacks_of_a_corpus() -> None:
    assert without_twins([None, "-", "", "A01", "CS-world", "A01"]) == {"A01"}


def test_official_ids_of_asvspoof_2019_la_are_known() -> None:
    aliases = attack_aliases(LA_TRAIN, LA_EVAL)

    assert seen_as(LA_EVAL, LA_TRAIN, aliases) == {"A16": "A04", "A19": "A06"}


@pytest.mark.parametrize(
    ("trained", "tested"),
    [(["A01", "vocoder"], LA_EVAL), (LA_TRAIN, ["A16", "A20"]), (LA_TRAIN, []), ([], LA_EVAL), (["A07"], ["A16"])],
)
def test_other_corpora_have_no_built_in_aliases(trained: list[str], tested: list[str]) -> None:
    assert attack_aliases(trained, tested) == {}


def test_stated_aliases_come_on_top_and_can_take_back_a_built_in_one() -> None:
    aliases = attack_aliases(LA_TRAIN, LA_EVAL, {"A07": "A01", "A16": "A16"})

    assert seen_as(LA_EVAL, LA_TRAIN, aliases) == {"A07": "A01", "A19": "A06"}


def test_an_alias_holds_in_both_directions() -> None:
    assert seen_as(["new"], ["old"], {"old": "new"}) == {"new": "old"}
    assert seen_as(["new"], ["old"], {"new": "old"}) == {"new": "old"}
    assert seen_as(["same", "other"], ["same"], {}) == {"same": "same"}


@pytest.fixture(scope="module")
def table() -> ScoreTable:
    draw = np.random.default_rng(0)
    attacks = np.repeat(["-", "A01", "A02", "-"], 50)
    means = np.repeat([2.0, -2.0, 1.0, 0.0], 50)
    names = [str(number) for number in range(200)]
    return score_table(names, draw.normal(means, 1), np.repeat([1, 0, 0, 0], 50), attacks)


def test_each_group_of_attacks_is_measured_against_all_bona_fide(table: ScoreTable) -> None:
    parts = by_seen(table, ["A01"], threshold=0.0, n_resamples=20)

    assert {name: (part.n_bonafide, part.n_spoof) for name, part in parts.items()} == {
        "seen": (50, 50),
        "unseen": (50, 50),
    }
    for name, attack in (("seen", "A01"), ("unseen", "A02")):
        assert parts[name].eer == eer(table.bonafide, table.scores[table.attack_ids == attack]).value
        assert parts[name].eer_interval is not None


def test_a_group_without_trials_is_left_out(table: ScoreTable) -> None:
    assert set(by_seen(table, ["A01", "A02"])) == {"seen"}
    assert set(by_seen(table, [])) == {"unseen"}
