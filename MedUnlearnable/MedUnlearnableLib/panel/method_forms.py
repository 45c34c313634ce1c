"""What the panel shows for each method. Data: a method appears with its controls as soon as it is registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from ..engine.medlocker.params import LESION_POLICIES, MODES, MOST_LOGOS, PLACEMENTS
from ..engine.salm.params import REGIONS

_UP_TO_MOST_LOGOS = tuple(str(number) for number in range(1, MOST_LOGOS + 1))


@dataclass(frozen=True)
class Control:
    """One option of `MedUnlearnableLogic.protect`; the parameter node has a field of the same name."""

    option: str
    label: str
    tooltip: str
    choices: tuple[str, ...] = ()  # none: a text
    files: str = ""  # not empty: a file of this kind may be chosen instead of typing
    value_of: Callable[[str], Any] = str
    advanced: bool = False


@dataclass(frozen=True)
class MethodForm:
    """How the cases of a method are described, and its own controls."""

    about: str = ""
    segments_label: str = _("Segments:")
    segments_tooltip: str = _(
        "Where the image may change: these segments, and with profiles standard and paper a band around them."
    )
    needs_segments: bool = True
    has_labels: bool = False  # it makes something of the class of a case
    needs_labels: bool = False  # every case needs one, or segments that stand in for it
    controls: tuple[Control, ...] = ()


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


_FORMS = {
    "UMed": MethodForm(about=_("UMed: contour- and texture-aware perturbation of segmentation data.")),
    "SALM": MethodForm(
        about=_("SALM: perturbation of the few pixels of classification data that matter most."),
        segments_tooltip=_("What the region below refers to; needed unless the region is 'all'."),
        needs_segments=False,
        has_labels=True,
        needs_labels=True,
        controls=(
            Control(
                "region",
                _("Region:"),
                _("Where the image may change: all of it, inside or outside the segments, or a band around them."),
                choices=REGIONS,
            ),
            Control(
                "classNames",
                _("Classes:"),
                _("All classes of the data set, separated by commas; empty: those of the cases above."),
                value_of=_words,
            ),
        ),
    ),
    "MedLocker": MethodForm(
        about=_("MedLocker: a visible logo, placed so that diagnostic models fail; removable by the key holder."),
        segments_label=_("Lesions:"),
        segments_tooltip=_("What the logo must keep free: these segments, with a margin."),
        needs_segments=False,
        has_labels=True,
        controls=(
            Control("logo", _("Logo:"), _("A text, or a PNG picture."), files=_("PNG (*.png)")),
            Control("logos", _("Logos:"), _("How many logos in a slice."), choices=_UP_TO_MOST_LOGOS, value_of=int),
            Control(
                "mode",
                _("Mode:"),
                _("translucent: the image shines through the logo. sealed: nothing of it remains under the logo."),
                choices=MODES,
            ),
            Control(
                "lesions",
                _("On lesions:"),
                _("avoid: the logo never meets a lesion. off: it may. inside: it lies on one."),
                choices=LESION_POLICIES,
            ),
            Control(
                "placement",
                _("Place:"),
                _("column: one place for the slices around the lesion. slice: one for each. volume: one for all."),
                choices=PLACEMENTS,
                advanced=True,
            ),
            Control(
                "models",
                _("Model:"),
                _("Description of a model that the logo shall mislead; empty: models trained on the labeled cases."),
                files=_("Description (*.json)"),
                value_of=lambda path: [path],
                advanced=True,
            ),
            Control(
                "trustModels",
                _("Trust it:"),
                _("A TorchScript or exported model is a program. Say yes only if you trust who made it."),
                choices=("no", "yes"),
                value_of=lambda answer: answer == "yes",
                advanced=True,
            ),
        ),
    ),
}

#: For every method.
CERTIFICATE_CONTROLS = (
    Control(
        "key",
        _("Sign with:"),
        _("Your key file: a signed certificate, and for you the exact original."),
        files=_("Key (*.json)"),
        advanced=True,
    ),
    Control(
        "recipient",
        _("Also for:"),
        _("Public key of somebody who may restore the original, too: its text or its file."),
        files=_("Public key (*.pub)"),
        value_of=lambda key: [key],
        advanced=True,
    ),
)

ALL_CONTROLS = (*(control for form in _FORMS.values() for control in form.controls), *CERTIFICATE_CONTROLS)


def form_of(method: str) -> MethodForm:
    """By the name the user sees."""
    return _FORMS.get(method, MethodForm())
