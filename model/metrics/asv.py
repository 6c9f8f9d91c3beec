"""Scores of a speaker verification (ASV) system on the same corpus, which the tandem costs need.

ASV scores tell whether a spoof that passes the countermeasure fools the ASV system, too. Scores of another corpus would give a
plausible but wrong number, so they are checked against the trials of the countermeasure and refused where they do not match.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model.metrics.errors import MetricsError, enumerate_some
from model.metrics.fields import NO_VALUE, read_fields
from model.metrics.rates import FloatArray, check_scores, curve_of_checked, eer_of_curve
from model.metrics.score_files import StringArray
from model.metrics.score_table import ScoreTable

KEYS = ("target", "nontarget", "spoof")


@dataclass(frozen=True, eq=False)
class AsvScores:
    """ASV scores of one corpus; higher = more likely the claimed speaker.

    Attributes:
        target: float64 [t], bona fide trials of the claimed speaker.
        nontarget: float64 [u], bona fide trials of another speaker.
        spoof: float64 [v], spoof trials.
        spoof_attack_ids: str [v], the attack of each spoof trial.
        spoof_utterance_ids: str [v], or None for a file without utterance ids.
        source: The file, for messages.
    """

    target: FloatArray
    nontarget: FloatArray
    spoof: FloatArray
    spoof_attack_ids: StringArray
    spoof_utterance_ids: StringArray | None = None
    source: str = "ASV scores"


@dataclass(frozen=True)
class AsvErrorRates:
    """Error rates of the ASV system at its EER threshold, as fractions.

    Attributes:
        threshold: The ASV score from which a claim is accepted.
        eer: Equal error rate of targets against nontargets.
        miss: Targets rejected.
        false_alarm: Nontargets accepted.
        spoof_false_alarm: Spoof trials accepted.
    """

    threshold: float
    eer: float
    miss: float
    false_alarm: float
    spoof_false_alarm: float


def asv_error_rates(asv: AsvScores) -> AsvErrorRates:
    """Error rates of the ASV system at the threshold of its target/nontarget EER, as both t-DCF versions define it.

    The threshold is the highest score that is rejected at the EER, and a score equal to it is accepted. This is the convention
    of ASVspoof; the one trial changes the fourth digit of the published t-DCF.
    """
    curve = curve_of_checked(asv.target, asv.nontarget)
    value, between = eer_of_curve(curve)
    threshold = float(curve.scores[max(curve.point(between) - 1, 0)])
    return AsvErrorRates(
        threshold=threshold,
        eer=value,
        miss=float(np.mean(asv.target < threshold)),
        false_alarm=float(np.mean(asv.nontarget >= threshold)),
        spoof_false_alarm=float(np.mean(asv.spoof >= threshold)),
    )


def read_asv_scores(path: Path) -> AsvScores:
    """Reads an ASV score file of ASVspoof: `attack_id key score`, or `utterance_id attack_id key score`.

    Those of ASVspoof 2021, `speaker_id trial score`, have their keys in `trial_metadata.txt` in the same folder or the one above,
    line by line.

    Raises:
        MetricsError: A malformed line, a key other than target, nontarget or spoof, no trial of a key, a score that is
            not finite, keys of other trials.
    """
    columns = read_fields(path, (3, 4), "`attack_id key score` or `utterance_id attack_id key score`")
    if len(columns.fields) == 3 and not set(columns.fields[1]) & set(KEYS):
        columns = replace(columns, fields=[*_keys_of_trials(path, columns.fields[1]), columns.fields[2]])
    *utterance_ids, attack_ids, keys, texts = columns.fields
    unknown = [f"line {columns.lines[i]}: '{key}'" for i, key in enumerate(keys) if key not in KEYS]
    if unknown:
        raise MetricsError(f"{path}: the key must be target, nontarget or spoof, found {enumerate_some(unknown)}")
    scores, key_of = columns.numbers(texts), np.array(keys)
    for key in KEYS:
        if not np.any(key_of == key):
            raise MetricsError(f"{path}: no {key} trial; the tandem cost needs target, nontarget and spoof trials")
    spoof = key_of == "spoof"
    return AsvScores(
        target=check_scores(scores[key_of == "target"], "target"),
        nontarget=check_scores(scores[key_of == "nontarget"], "nontarget"),
        spoof=check_scores(scores[spoof], "ASV spoof"),
        spoof_attack_ids=np.array(attack_ids)[spoof],
        spoof_utterance_ids=np.array(utterance_ids[0])[spoof] if utterance_ids else None,
        source=str(path),
    )


def _keys_of_trials(scores: Path, trials: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The columns utterance, attack and key of the trials of a score file of ASVspoof 2021.

    Args:
        scores: The score file; the keys are in its folder or the one above.
        trials: As the score file names them, in its order.
    """
    places = (folder / "trial_metadata.txt" for folder in (scores.parent, scores.parent.parent))
    path = next(filter(Path.is_file, places), None)
    if path is None:
        raise MetricsError(
            f"{scores}: column 2 holds no key (target, nontarget or spoof); of ASVspoof 2021, keep the keys of the trials, "
            "ASV/trial_metadata.txt, in the folder above"
        )
    keys = read_fields(path, (8,), "`speaker trial codec transmission attack key trim subset`")
    if keys.fields[1] != trials:
        raise MetricsError(f"{scores}: its trials are not those of {path}, line by line")
    # The trials are named with their condition, such as LA_E_5013670-alaw-ita_tx; the countermeasure's are not.
    names = tuple(
        trial.removesuffix(f"-{codec}-{transmission}")
        for trial, codec, transmission in zip(*keys.fields[1:4], strict=True)
    )
    return [names, keys.fields[4], keys.fields[5]]


def refuse_other_corpus(asv: AsvScores, table: ScoreTable, *, stated_same: bool = False) -> None:
    """Refuses ASV scores that do not belong to the trials of a score table.

    They belong to it if they name the same spoof utterances. Files without utterance ids, such as ASVspoof's own, belong to it
    if every attack has exactly as many trials in both. In any other case the caller has to state that they do.

    Args:
        asv: The ASV scores.
        table: The countermeasure's scores, labelled and with attack ids.
        stated_same: The user states that it is the same corpus, for example because a part of it was scored. Then only
            attacks that the ASV scores do not have are refused.

    Raises:
        MetricsError: They belong to another corpus, or nothing shows that they belong to this one.
    """
    spoof = table.labels == 0
    ours, theirs = _count(table.attack_ids[spoof]), _count(asv.spoof_attack_ids)
    advice = "Give the ASV scores made on this corpus and split, or leave them out: t-DCF is then absent"
    if NO_VALUE in ours:
        raise MetricsError(
            f"{table.source}: the attack of {ours[NO_VALUE]:,} spoof trials is unknown (-), so nothing shows that {asv.source} "
            f"belongs to them. {advice}"
        )
    unknown = sorted(set(ours) - set(theirs))
    if unknown:
        raise MetricsError(
            f"{asv.source} belongs to another corpus or split: it has no trial of attack {enumerate_some(unknown)}, only of "
            f"{enumerate_some(sorted(theirs), 20)}. {advice}"
        )
    if stated_same:
        return
    if asv.spoof_utterance_ids is not None:
        known = set(asv.spoof_utterance_ids.tolist())
        strangers = [name for name in table.utterance_ids[spoof].tolist() if name not in known]
        if strangers:
            raise MetricsError(
                f"{asv.source} belongs to another corpus or split: it has no trial of {len(strangers):,} of the "
                f"{int(spoof.sum()):,} spoof utterances ({enumerate_some(strangers)}). {advice}"
            )
    elif ours != theirs:
        differing = [
            f"{name}: {theirs.get(name, 0):,} against {ours.get(name, 0):,}"
            for name in sorted(set(ours) | set(theirs))
            if ours.get(name) != theirs.get(name)
        ]
        raise MetricsError(
            f"{asv.source} seems to belong to another corpus: its spoof trials per attack differ from those scored here "
            f"({enumerate_some(differing)}), and it has no utterance ids to tell. {advice}. "
            "If it is the same corpus (you scored a part of it), say so: --same-corpus"
        )


def _count(names: Iterable[str]) -> dict[str, int]:
    values, counts = np.unique(np.asarray(names), return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))
