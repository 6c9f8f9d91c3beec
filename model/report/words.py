"""Numbers in plain words: the verdict in one sentence and the known limits, each with this run's own figures.

Pure functions of metrics and counts. Nothing here is a general disclaimer where a measured number can stand instead.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_FRACTIONS: Final = ((1, 4), (3, 10), (1, 3), (4, 10), (1, 2))
_RARE_FAKES: Final = 0.01


@dataclass(frozen=True)
class Verdict:
    """What the page says first.

    Attributes:
        grade: One of "chance", "weak", "helpful", "strong"; for the look alone.
        label: The grade in words.
        sentence: The verdict.
        consequence: What it means in use.
    """

    grade: str
    label: str
    sentence: str
    consequence: str


@dataclass(frozen=True)
class Limit:
    """One thing that the detector cannot be trusted with.

    Attributes:
        title: What.
        text: Why, with numbers.
        measured: True where a number of this run shows it, False where nothing was measured.
    """

    title: str
    text: str
    measured: bool


def verdict(metrics: Mapping[str, Any], split: str, unseen: bool) -> Verdict:
    """The verdict on one split.

    Args:
        metrics: Of the split, as in metrics.json.
        split: "eval" or "dev".
        unseen: True where none of its attacks was in the training data.
    """
    eer = metrics["eer"]
    if eer >= 0.4:
        grade, label = "chance", "Hardly better than a coin"
    elif eer >= 0.15:
        grade, label = "weak", "Not fit to decide alone"
    elif eer >= 0.05:
        grade, label = "helpful", "Helps, but needs a second opinion"
    else:
        grade, label = "strong", "Strong on this corpus"
    if unseen:
        where = "On attacks that it never heard in training"
    else:
        where = (
            "On clips that it was not trained on"
            if split == "eval"
            else "On the clips that its settings were chosen on"
        )
    sentence = f"{where}, this detector confuses {share_in_words(eer)} clips."
    miss, false_alarm = error_rates(metrics)
    return Verdict(
        grade,
        label,
        sentence,
        f"At the threshold chosen on dev it lets through {percent(false_alarm, 0)} of the fakes "
        f"and turns away {percent(miss, 0)} of the genuine voices.",
    )


def limits(
    metrics: Mapping[str, Mapping[str, Any]],
    validation: Mapping[str, Any] | None,
    window_s: float,
    prior: float,
    unseen: Collection[str],
) -> list[Limit]:
    """What the detector cannot be trusted with.

    Args:
        metrics: Of each labelled split.
        validation: The data validation, or None.
        window_s: Seconds that the network sees at once.
        prior: Probability of bona fide that probabilities are stated at.
        unseen: Attacks of eval that training did not have.
    """
    main_split = "eval" if "eval" in metrics else "dev"
    main = metrics[main_split]
    found = [_unseen_attacks(metrics, unseen), _shortcuts(validation, main_split, main)]
    found.append(_prior_shift(main, prior))
    found.append(_calibration(metrics))
    if "uncertain" in main:
        found.append(
            Limit(
                "Unclear cases",
                f"{percent(main['uncertain'], 0)} of the {main_split} clips fall into the uncertain band, in which the tool "
                "says so instead of guessing. The band was set on dev; elsewhere its error rate is not guaranteed.",
                True,
            )
        )
    found.append(_sample_size(main, main_split, validation))
    found += [
        Limit(
            "Other channels and codecs",
            "Telephone lines, messengers, MP3 or AAC, rooms and loudspeakers change a spectrogram as much as an attack does. "
            "Only recordings like those of the data card were measured.",
            False,
        ),
        Limit(
            "Other languages and kinds of speech",
            "Languages, accents, ages, singing, shouting, whispering that the corpus does not hold were not measured.",
            False,
        ),
        Limit(
            "Partial fakes",
            f"The score is a mean over windows of {window_s:g} s. A few forged words in a long genuine recording are averaged "
            "away; such clips were not measured.",
            False,
        ),
        Limit(
            "Who is speaking",
            "It tells real speech from synthetic, never whose voice it is: an impersonator or a replayed recording of the "
            "right person is genuine speech to it.",
            False,
        ),
        Limit(
            "Forgers who know it",
            "Whoever can query the detector can tune a fake against it. No such adversary was measured.",
            False,
        ),
    ]
    return [limit for limit in found if limit is not None]


def error_rates(metrics: Mapping[str, Any]) -> tuple[float, float]:
    """Share of bona fide rejected and share of spoof accepted at the threshold from dev."""
    miss = 1 - metrics["recall"]
    return miss, 1 - (2 * metrics["balanced_accuracy"] - metrics["recall"])


def share_in_words(rate: float) -> str:
    """A rate the way people say it: "about 3 in 10"; "none of the" for 0."""
    if rate <= 0:
        return "none of the"
    if rate < 0.225:
        return f"about 1 in {round(1 / rate):,}"
    tenths = [(part, 10) for part in range(3, 11) if part != 5]
    part, whole = min([*_FRACTIONS, *tenths], key=lambda pair: (abs(pair[0] / pair[1] - rate), pair[1]))
    return f"about {part} in {whole}"


def percent(rate: float, digits: int = 1) -> str:
    """A fraction in per cent, with a narrow no-break space."""
    return f"{100 * rate:.{digits}f}\u202f%"


def signed(value: float, digits: int = 2) -> str:
    """A score with its sign."""
    return f"{value:+.{digits}f}".replace("-", "\u2212")


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: A, A and B, or A, B and C."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _unseen_attacks(metrics: Mapping[str, Mapping[str, Any]], unseen: Collection[str]) -> Limit:
    title = "Attacks it has never heard"
    per_attack = metrics.get("eval", {}).get("per_attack", {})
    new = {name: per_attack[name]["eer"] for name in unseen if name in per_attack}
    if not new:
        return Limit(title, "No attack was kept out of training, so nothing is known of new ones.", False)
    worst = sorted(new, key=lambda name: (-new[name], name))
    gap = ""
    if "dev" in metrics:
        gap = (
            f"The EER goes from {percent(metrics['dev']['eer'])} on dev to {percent(metrics['eval']['eer'])} on eval. "
        )
    hopeless = [name for name in worst if new[name] >= 0.4]
    text = f"{gap}Among {len(new)} unseen attacks it ranges from {percent(new[worst[-1]])} to {percent(new[worst[0]])}"
    text += f"; against {listed(hopeless)} it is hardly better than a coin. " if hopeless else ". "
    return Limit(title, f"{text}The next generator of voices may be harder than any of these.", True)


def _shortcuts(validation: Mapping[str, Any] | None, split: str, main: Mapping[str, Any]) -> Limit | None:
    parts = []
    eers = (validation or {}).get(split, {}).get("shortcut_eer", {})
    if eers:
        measure = min(eers, key=lambda name: (eers[name], name))
        plain = measure.rsplit("_", 1)[0].replace("_", " ")
        parts.append(
            f"The best single plain property on {split}, {plain}, separates the classes with an EER of "
            f"{percent(eers[measure])} without hearing the voice (50\u202f% is chance)."
        )
    trimmed = main.get("trimmed", {}).get("eer")
    if trimmed is not None:
        parts.append(
            f"With the silence at both ends cut off, the EER is {percent(trimmed)} instead of {percent(main['eer'])}."
        )
    if not parts:
        return None
    return Limit(
        "Shortcuts in the data", " ".join([*parts, "A detector may lean on what the probe did not try."]), True
    )


def _prior_shift(main: Mapping[str, Any], prior: float) -> Limit:
    miss, false_alarm = error_rates(main)
    caught = (1 - false_alarm) * _RARE_FAKES
    alarms = caught + miss * (1 - _RARE_FAKES)
    right = (
        f"{percent(caught / alarms, 0)} of its alarms would be right" if alarms else "it would raise no alarm at all"
    )
    return Limit(
        "Another mix of real and fake",
        f"Probabilities are stated for a prior of {percent(prior, 0)} genuine. Where 1 clip in 100 is fake, {right}, "
        "with the error rates measured here. State the prior that holds where it is used.",
        True,
    )


def _calibration(metrics: Mapping[str, Mapping[str, Any]]) -> Limit | None:
    if "eval" not in metrics or "dev" not in metrics or "cllr" not in metrics["eval"]:
        return None
    dev, new = metrics["dev"]["cllr"], metrics["eval"]["cllr"]
    worth = " That is no better than not having the scores." if new >= 0.95 else ""
    return Limit(
        "Probabilities taken at face value",
        f"Scores were calibrated on dev. Their cost Cllr is {dev:.2f} bit there and {new:.2f} bit on eval (0 is perfect, 1 is "
        f"worthless).{worth} On other data it may be worse.",
        True,
    )


def _sample_size(main: Mapping[str, Any], split: str, validation: Mapping[str, Any] | None) -> Limit:
    speakers = (validation or {}).get(split, {}).get("speakers")
    text = f"All of this rests on {main['n_bonafide']:,} genuine and {main['n_spoof']:,} fake clips"
    text += f" of {speakers:,} speakers. " if speakers else ". "
    if "eer_ci95_low" in main:
        low, high = percent(main["eer_ci95_low"]), percent(main["eer_ci95_high"])
        text += f"Other clips of the same kind would put the EER between {low} and {high} (95\u202f%); "
        text += "other kinds of clips, anywhere."
    return Limit("Small numbers" if main["n_trials"] < 2000 else "Sampling", text, True)
