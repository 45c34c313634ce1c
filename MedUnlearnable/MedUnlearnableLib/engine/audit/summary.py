"""The plain verdict over all conditions, and what every report must say beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .verdict import FAILS, HOLDS, UNKNOWN, WEAKENED, Verdict

#: Never tested here; a report must not let it be overlooked.
NOT_TESTED = (
    "learned purification of the images, which undoes every published protection of this kind",
    "an attacker who knows this software and writes a defense against it",
    "large pretrained networks, unless weights were given",
)
LIMITS = (
    "Protection is a deterrent against naive training from scratch. It is no encryption, access control or "
    "anonymization.",
    "It works only while nearly all shared copies are protected: a quarter of clean copies undoes it, and so do public "
    "pairs of an original and its copy.",
    "Trainers in medicine often start from pretrained networks; noise of this kind then tends to fail.",
    "No published protection survives all known countermeasures.",
    "If the data a model will be used on carry the same noise, the model works there.",
    "Resampling, windowing, lossy compression or re-export by a PACS may weaken it.",
    "An interval covers the choice of test cases, not the luck of one training; several seeds show that.",
    "Protected copies are not for diagnosis, radiomics or densitometry. Keep the originals.",
)


@dataclass(frozen=True)
class Summary:
    """Condition names by verdict, a headline, and why it may be "indicative only"."""

    headline: str
    holds: list[str]
    weakened: list[str]
    fails: list[str]
    unknown: dict[str, str]  # name: reason
    few: list[str]  # told by fewer seeds or test cases than a verdict needs
    not_tested: list[str]
    reservations: list[str]

    @property
    def indicative_only(self) -> bool:
        return bool(self.reservations)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "indicative_only": self.indicative_only}


def summarize(
    verdicts: Sequence[Verdict], reservations: Sequence[str], left_out: Sequence[str], unseen: Sequence[str] = ()
) -> Summary:
    """`verdicts`: the first one is of the usual attacker. `left_out`: conditions there was no time for.

    `unseen`: what attackers did not get to see of these images.
    """
    judged = [verdict for verdict in verdicts if verdict.condition not in left_out]
    names = {word: [v.condition for v in judged if v.word == word] for word in (HOLDS, WEAKENED, FAILS)}
    return Summary(
        headline=_headline(judged[0], names[FAILS] + names[WEAKENED]),
        holds=names[HOLDS],
        weakened=names[WEAKENED],
        fails=names[FAILS],
        unknown={v.condition: v.reason for v in judged if v.word == UNKNOWN},
        few=[v.condition for v in judged if v.word != UNKNOWN and v.indicative_only],
        not_tested=[*(f"{name}: there was no time" for name in left_out), *unseen, *NOT_TESTED],
        reservations=list(reservations),
    )


def _headline(usual: Verdict, weak_spots: Sequence[str]) -> str:
    if usual.word == UNKNOWN:
        return f"Nothing can be said of the protection: {usual.reason}."
    if usual.word == FAILS:
        return "No protection was found: training from scratch on the protected images works."
    weaker = [name for name in weak_spots if name != usual.condition]
    found = "Training from scratch fails" if usual.word == HOLDS else "Training from scratch is made worse"
    return f"{found} on the protected images" + (
        f"; it works, or works better, with {_listed(weaker)}." if weaker else "."
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
