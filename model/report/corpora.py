"""The rows of the cross-corpus table: eval and the further test sets, judged by the same threshold, calibration and band."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model.metrics import SEEN, UNSEEN
from model.report.tables import Attack, Value, attacks, value_of


@dataclass(frozen=True)
class SetRow:
    """One row. What the clips of the set do not give is None: a set of one class has no EER, one without labels no rates.

    Attributes:
        name: "eval", or the name of the further test set.
        n_trials: Clips with a score.
        n_bonafide: Genuine clips.
        n_spoof: Fake clips.
        n_rejected: Clips without a score; None for eval, whose store tells.
        eer: Equal error rate.
        seen: The same of attacks of the training data.
        unseen: The same of other attacks.
        cllr: Cost of the ratios, in bits.
        miss: Genuine clips rejected at the threshold from dev.
        false_alarm: Fake clips accepted there.
        uncertain: Clips in the uncertain band.
        certain_wrong: Clips outside it with a wrong verdict.
        attacks: Its attacks, the most successful first; empty unless each has an EER.
        accepted: Share accepted and number of clips of each attack, of a set of fakes alone.
    """

    name: str
    n_trials: int
    n_bonafide: int | None
    n_spoof: int | None
    n_rejected: int | None
    eer: Value | None
    seen: Value | None
    unseen: Value | None
    cllr: float | None
    miss: Value | None
    false_alarm: Value | None
    uncertain: float | None
    certain_wrong: float | None
    attacks: list[Attack]
    accepted: dict[str, tuple[float, int]]

    @property
    def remark(self) -> str:
        """What is unusual about the set, or ""."""
        if not self.n_trials:
            return "no clip could be scored"
        if self.n_bonafide is None:
            return "no labels: scores only"
        return "" if self.eer is not None else "one class only: no EER"


def set_rows(main: Mapping[str, Any] | None, corpora: Mapping[str, Mapping[str, Any]]) -> list[SetRow]:
    """The rows; none without further test sets.

    Args:
        main: Metrics of eval, or None.
        corpora: Metrics of each further test set.
    """
    sets = {} if main is None else {"eval": main}
    return [_row(name, found) for name, found in (sets | dict(corpora)).items()] if corpora else []


def _row(name: str, found: Mapping[str, Any]) -> SetRow:
    def value(key: str, of: Mapping[str, Any] = found) -> Value | None:
        return value_of(of, key) if key in of else None

    worst_first = sorted(found.get("per_attack", {}).items(), key=lambda pair: (-pair[1]["false_alarm"], pair[0]))
    has_both = "eer" in found
    return SetRow(
        name=name,
        n_trials=found["n_trials"],
        n_bonafide=found.get("n_bonafide"),
        n_spoof=found.get("n_spoof"),
        n_rejected=found.get("n_rejected"),
        eer=value("eer"),
        seen=value("eer", found.get(SEEN, {})),
        unseen=value("eer", found.get(UNSEEN, {})),
        cllr=found.get("cllr"),
        miss=value("miss") if found.get("n_bonafide") else None,
        false_alarm=value("false_alarm") if found.get("n_spoof") else None,
        uncertain=found.get("uncertain"),
        certain_wrong=found.get("certain_wrong"),
        attacks=attacks(found) if has_both else [],
        accepted={} if has_both else {key: (part["false_alarm"], part["n_spoof"]) for key, part in worst_first},
    )
