"""Which slices of a case share their marks, where those may stand, and in which inks: everything before the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..case import Case
from ..errors import Refused
from ..streams import RandomStreams
from ..window import IntensityWindow, Windows
from ..window_rules import HuHistogram, WindowSetting, window_of
from .candidates import Mark, Site
from .lesions import Box, boxes_as_mask, boxes_of_plane, feasible_places, foreground_of, nearest_places
from .logo import Logo
from .params import MedLockerParams

#: Longer side of a logo as a share of the plane's shorter side; the next one is tried where the lesions leave no room.
SIDES = (4, 6, 8)
#: Slices of a slab that the models look at, evenly spread.
SCORED_SLICES = 8
_SMALLEST_LOGO = 8  # pixels
#: Corners along a side that are told apart.
MOST_CORNERS = 512
_NO_ROOM = "the lesion boxes leave no room for a logo on the tissue"


@dataclass(frozen=True)
class Spot:
    """A picture, or slices [first, last) of a volume that share their marks.

    logos: one for each mark, as warped for this spot. inks [I, C, h, w] in stored values of each channel.
    nearest [2, R, Q]: the allowed corner next to each corner.
    """

    name: str
    slices: range
    logos: tuple[Logo, ...]
    inks: NDArray[np.float64]
    nearest: NDArray[np.int64]
    side_share: int  # one of SIDES

    @property
    def scored(self) -> list[int]:
        """The slices that the models look at."""
        return scored_slices(self.slices)

    def site(self, case: Case, windows: Windows, label: int, size: tuple[int, int]) -> Site:
        """The spot as the search sees it, at the resolution of the models."""
        height, width = case.shape_kji[1:]
        scale = (size[0] / height, size[1] / width)
        frame = tuple(max(1, round(n * s)) for n, s in zip(self.logos[0].matte.shape, scale))
        unit_inks = np.stack([_normalized(ink, windows) for ink in self.inks])
        return Site(
            name=self.name,
            planes=planes_of(case.image, self.scored, windows, size),
            label=label,
            mattes=_resized(np.stack([logo.matte for logo in self.logos]).astype(np.float32) / 255, frame),
            inks=np.stack([_resized(ink, frame) for ink in unit_inks]),
            nearest=self.nearest,
            scale=scale,
        )

    def random_marks(self, random: np.random.Generator, opacity: tuple[int, int]) -> tuple[Mark, ...]:
        """Marks at places that the key decides."""
        _, rows, columns = self.nearest.shape
        marks = []
        for _ in self.logos:
            y, x = self.nearest[:, random.integers(rows), random.integers(columns)]
            shade = int(random.integers(opacity[0], opacity[1] + 1))
            marks.append(Mark(int(x), int(y), shade, int(random.integers(len(self.inks)))))
        return tuple(marks)


def windows_of_case(case: Case, setting: WindowSetting) -> Windows:
    """The window of each channel, in which logos are inked and models look.

    One for all, or of each its own where channels come from files of their own.
    """
    if not case.channels:
        return (_window_alone(case, setting),) * len(case.image)
    return tuple(_window_alone(channel, setting) for channel in case.of_one_meaning())


def _window_alone(case: Case, setting: WindowSetting) -> IntensityWindow:
    """The window of a case of one meaning. CT: of the voxels above -500 HU of this image alone."""
    rule = setting.rule_for(case)
    hu = None
    if rule == "ct":
        histogram = HuHistogram()
        body = case.image[case.image >= case.units.to_stored(-500.0)] if case.units.slope > 0 else case.image
        histogram.add(body, case.units)
        hu = histogram.window_hu()
    return window_of(case, setting, hu)


def scored_slices(slab: range) -> list[int]:
    """At most SCORED_SLICES of a slab, from its first to its last."""
    count = min(len(slab), SCORED_SLICES)
    return [slab[int(place)] for place in np.linspace(0, len(slab) - 1, count).round()]


def planes_of(
    image: NDArray[np.generic], slices: Sequence[int], windows: Windows, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Slices of an image [C, D, H, W] as a model of this size sees them: [S, C, h, w] in [0, 1]; NaN is black."""
    return np.stack([_resized(np.nan_to_num(_normalized(image[:, number], windows)), size) for number in slices])


def _normalized(channels: NDArray[np.generic], windows: Windows) -> NDArray[np.float32]:
    """Stored values [C, h, w] in [0, 1], each channel by its own window."""
    return np.stack([window.normalize(channel) for window, channel in zip(windows, channels)])


def known_boxes(case: Case, params: MedLockerParams) -> dict[int, list[Box]] | None:
    """Boxes by slice: the given ones, and those of the segments. None: nothing is known of lesions."""
    if case.id not in params.boxes and not case.segments:
        return None
    found: dict[int, list[Box]] = {}
    for place, *corners in params.boxes.get(case.id, ()):
        x0, y0, x1, y1 = (int(corner or 0) for corner in corners)
        for number in range(case.shape_kji[0]) if place is None else [int(place)]:
            if x1 > x0 and y1 > y0:
                found.setdefault(number, []).append((x0, y0, x1, y1))
    for number in range(case.shape_kji[0]) if case.segments else ():
        layers = [layer[number] for layer in case.segments]
        for box in boxes_of_plane(layers, params.margin_mm, case.geometry.spacing_kji[1:]):
            found.setdefault(number, []).append(box)
    return found


def slabs(case: Case, boxes: dict[int, list[Box]] | None, params: MedLockerParams) -> list[range]:
    """Which slices share their marks. Without any box a column takes the whole volume: nothing says where to stop."""
    depth = case.shape_kji[0]
    if params.placement == "volume" or not boxes:
        whole = range(depth)
        return [range(number, number + 1) for number in whole] if params.placement == "slice" else [whole]
    reach = int(params.slab_mm / case.geometry.spacing_kji[0] + 1e-9)
    near = sorted({n for number in boxes for n in range(max(0, number - reach), min(depth, number + reach + 1))})
    if params.placement == "slice":
        return [range(number, number + 1) for number in near]
    breaks = [index for index in range(1, len(near)) if near[index] != near[index - 1] + 1]
    return [range(part[0], part[-1] + 1) for part in np.split(np.array(near), breaks)]


def spots_of(
    case: Case,
    windows: Windows,
    boxes: dict[int, list[Box]] | None,
    params: MedLockerParams,
    streams: RandomStreams,
) -> tuple[list[Spot], list[str]]:
    """The spots of a case, and a sentence for each slab that has no room. Refuses a case without any room."""
    logo = Logo.parse(params.logo)
    spots, missing = [], []
    for slab in slabs(case, boxes, params):
        spot = _spot(case, windows, slab, boxes or {}, logo, params, streams)
        if spot is None:
            missing.append(f"{_slices(slab)}: {_NO_ROOM}, so no mark stands there")
        else:
            spots.append(spot)
    if not spots:
        raise Refused(f"{_NO_ROOM}; give a smaller --margin or --logo, or --lesions off")
    return spots, missing


def _slices(slab: range) -> str:
    return f"slice {slab.start}" if len(slab) == 1 else f"slices {slab.start} to {slab.stop - 1}"


def _spot(
    case: Case,
    windows: Windows,
    slab: range,
    boxes: dict[int, list[Box]],
    logo: Logo,
    params: MedLockerParams,
    streams: RandomStreams,
) -> Spot | None:
    shape = case.shape_kji[1:]
    name = f"{case.id}/{slab.start}"
    lesions = boxes_as_mask([box for number in slab for box in boxes.get(number, ())], shape)
    looked_at = scored_slices(slab)
    gray = np.mean([_normalized(case.image[:, number], windows).mean(axis=0) for number in looked_at], axis=0)
    foreground = foreground_of(np.nan_to_num(gray))
    nothing = np.zeros(shape, bool)
    for share in SIDES:
        side = max(_SMALLEST_LOGO, min(shape) // share)
        scaled = logo.scaled(side)
        warped = tuple(scaled.warped(streams.generator(f"warp {name} {number}")) for number in range(params.logos))
        support = np.any([one.matte > 0 for one in warped], axis=0)
        places = feasible_places(
            lesions if params.lesions == "avoid" else nothing,
            foreground,
            support,
            lesions if params.lesions == "inside" and lesions.any() else None,
        )
        if places.any():
            inks = _inks(case, windows, looked_at, lesions if lesions.any() else foreground, scaled)
            return Spot(name, slab, warped, inks, _nearest(places), share)
    return None


def _nearest(places: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The allowed corner next to each corner; of large planes every n-th corner, which is as fine as models see."""
    step = 1 + max(places.shape) // MOST_CORNERS
    coarse = places[::step, ::step]
    return nearest_places(coarse) * step if coarse.any() else nearest_places(places)


def _inks(
    case: Case, windows: Windows, slices: list[int], tissue: NDArray[np.bool_], logo: Logo
) -> NDArray[np.float64]:
    """White and black of the window, 5th and 95th percentile of the lesions (else tissue), the colors of the logo.

    Each as every channel has it. Channels that come from files of their own show no color: they get the logo's gray.
    """
    channels = len(case.image)
    frame = (channels, *logo.matte.shape)
    values = case.image[:, slices][:, :, tissue].reshape(channels, -1).astype(np.float64)
    lo, hi = np.array([(window.lo, window.hi) for window in windows], float).T
    shades = [np.clip(np.nanpercentile(values, p, axis=1), lo, hi) for p in (5, 95)]
    inks = [np.broadcast_to(color[:, None, None], frame) for color in (hi, lo, *shades)]
    if (logo.colors[:, logo.matte > 0] != 255).any():
        in_color = channels == 3 and not case.channels
        colors = logo.colors if in_color else np.broadcast_to(logo.colors.mean(axis=0), frame)
        inks.append(lo[:, None, None] + (hi - lo)[:, None, None] * colors / 255.0)
    stored = np.stack(inks)
    on_grid = np.array([window.quantum is not None for window in windows])
    return np.where(on_grid[:, None, None], np.rint(stored), stored)


def _resized(planes: NDArray[np.floating], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Planes [n, H, W] at another size: linear, with as much smoothing as shrinking needs."""
    if planes.shape[1:] == tuple(size):
        return np.ascontiguousarray(planes, np.float32)
    import torch
    from torch.nn.functional import interpolate

    given = torch.from_numpy(np.ascontiguousarray(planes, np.float32)).unsqueeze(0)
    return interpolate(given, tuple(size), mode="bilinear", antialias=True, align_corners=False)[0].numpy()
