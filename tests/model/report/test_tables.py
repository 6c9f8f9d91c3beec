import numpy as np
import pytest

from model.evaluation.data_validation import FEWEST_CLIPS
from model.metrics import Interval, score_table
from model.report.tables import (
    FEWEST_PER_CLASS,
    attack_groups,
    attacks,
    durations,
    headlines,
    measures,
    unseen_attacks,
    worst_speakers,
)


def test_attacks_are_sorted_by_their_success_and_marked_where_training_had_them() -> None:
    figures = {
        "per_attack": {
            "A07": {"eer": 0.1, "false_alarm": 0.0, "n_spoof": 5},
            "A08": {"eer": 0.4, "eer_ci95_low": 0.3, "eer_ci95_high": 0.5, "false_alarm": 0.6, "n_spoof": 5},
        },
        "seen_attacks": {"A07": "A01"},
    }

    worst, other = attacks(figures)

    assert (worst.name, worst.eer.interval, worst.in_training) == ("A08", Interval(0.3, 0.5), False)
    assert (other.name, other.eer.interval, other.in_training) == ("A07", None, True)


def test_an_attack_of_train_under_another_id_is_not_unseen() -> None:
    figures = {"eer": 0.1, "false_alarm": 0.0, "n_spoof": 5}
    metrics = {"per_attack": {"A08": figures, "A16": figures}, "seen_attacks": {"A16": "A04"}}

    assert {row.name: row.seen_as for row in attacks(metrics)} == {"A08": None, "A16": "A04"}
    assert unseen_attacks(metrics) == ["A08"]
    assert unseen_attacks({"per_attack": {"A08": figures}}) == [], "what train held is not known"


def test_groups_of_attacks_are_shown_where_a_split_has_both() -> None:
    figures = {"eer": 0.1, "false_alarm": 0.0, "n_spoof": 5}
    both = {"per_attack": {}, "seen": figures, "unseen": {**figures, "eer": 0.3}}

    assert [(row.eer.value, row.in_training) for row in attack_groups(both)] == [(0.1, True), (0.3, False)]
    assert attack_groups({"per_attack": {}, "seen": figures}) == []


def test_a_metric_that_no_split_has_is_left_out() -> None:
    rows = headlines({"dev": {"eer": 0.1, "auc": 0.9}, "eval": {"eer": 0.3}})

    assert {row.name: list(row.values) for row in rows} == {"eer": ["dev", "eval"], "auc": ["dev"]}


def test_speakers_are_judged_only_on_enough_clips_and_the_worst_come_first() -> None:
    clips = {"good": 0.0, "bad": 4.0, "rare": 9.0}
    names, scores, labels, speakers = [], [], [], []
    for speaker, shift in clips.items():
        for label in (1, 0):
            for number in range(FEWEST_PER_CLASS - (speaker == "rare")):
                names.append(f"{speaker}{label}{number}")
                scores.append(2.0 * label + shift * (1 - label) + 0.01 * number)
                labels.append(label)
                speakers.append(speaker)
    table = score_table(names, scores, labels, speaker_ids=speakers)

    shown, judged = worst_speakers(table, 1.0, 10)
    worst, _ = worst_speakers(table, 1.0, 1)

    assert [part.name for part in shown] == ["bad", "good"]
    assert judged == 2
    assert [part.name for part in worst] == ["bad"]
    assert shown[0].eer_interval is not None


def test_every_clip_is_in_one_bin_of_durations() -> None:
    draw = np.random.default_rng(1)
    names = [str(i) for i in range(60)]
    table = score_table(names, draw.normal(size=60), [i % 2 for i in range(60)])

    parts = durations(table, {name: 0.5 + i / 10 for i, name in enumerate(names)}, 0.0)

    assert sum(part.n_bonafide + part.n_spoof for part in parts) == 60
    rates = [part.eer for part in parts if part.eer is not None]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize(("clips", "suspicious"), [(FEWEST_CLIPS, True), (FEWEST_CLIPS - 1, False)])
def test_a_telling_property_is_called_a_shortcut_only_on_enough_clips(clips: int, suspicious: bool) -> None:
    summary = {"median": 0.1, "p05": 0.0, "p95": 0.2}
    both = {"bona_fide": summary, "spoof": summary}
    part = {
        "bona_fide": clips,
        "spoof": 100,
        "measures": {"leading_silence_s": both, "level_db": both},
        "shortcut_eer": {"level_db": 0.48, "leading_silence_s": 0.1},
    }

    first, second = measures(part)

    assert (first.title, first.suspicious) == ("leading silence, s", suspicious)
    assert (second.title, second.suspicious) == ("level, dB", False)
