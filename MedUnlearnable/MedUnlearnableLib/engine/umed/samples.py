"""Training samples: patches with foreground, cut out once and kept in scratch space of a bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..carrier import Carrier
from ..case import Case, CaseSource
from ..masks import Box
from ..method import Workspace
from ..window import Windows
from .cohort import Cohort
from .plan import GENERATOR_DEPTH, Plan
from .region import Setup, brightness_scale, region_of, slab_with_halo, upright

Samples = NDArray[Any]  # of `sample_dtype`


def sample_dtype(cohort: Cohort, plan: Plan) -> np.dtype:
    """One patch. What a small image lacks to the patch is 0 and may not change."""
    image = (cohort.channels, *plan.sides)
    return np.dtype(
        [
            ("image", np.float32, image),  # the window as 0 to 1
            ("bound", np.float32, image),  # largest change, share of the window; 0 where nothing may change
            ("hides_stripes", np.float32, plan.sides),  # how strong stripes may be, 0 to 1
            ("classes", np.int16, plan.sides),
            ("contour", np.bool_, plan.sides),
            ("mean", np.float32, (cohort.channels,)),  # of the slice or volume the patch is from
            ("deviation", np.float32, (cohort.channels,)),
            ("quantum", np.float32, (cohort.channels,)),  # stored step, share of the window; 0 for true floats
        ]
    )


def take_samples(
    cases: CaseSource, cohort: Cohort, plan: Plan, setup: Setup, random: np.random.Generator, workspace: Workspace
) -> Samples:
    """`plan.samples` patches, drawn from all slices or volumes with foreground alike; one case in memory at a time.

    Those that an interrupted run has left are used again.
    """
    samples = workspace.array("umed_samples", (plan.samples,), sample_dtype(cohort, plan))
    complete = workspace.array("umed_samples_complete", (1,), np.bool_)
    filled = 0
    for case_id, pieces in () if complete[0] else _drawn(cases.ids, cohort, plan.samples, random):
        case = cases.load(case_id)
        windows, case = setup.windows(case), upright(case)
        scale = brightness_scale(case, windows, cohort.dimensions)
        foreground = np.any([layer != 0 for layer in case.segments], axis=0)
        slices = np.flatnonzero(foreground.any(axis=(1, 2)))
        for piece in pieces:
            workspace.progress.step("samples", filled, plan.samples)
            first = int(slices[piece]) if cohort.dimensions == 2 else 0
            core = _patch(foreground[first : first + 1 if cohort.dimensions == 2 else None], first, plan.sides, random)
            samples[filled] = _sample(case, windows, core, cohort, plan, setup)
            samples[filled]["mean"], samples[filled]["deviation"] = scale.mean[:, first], scale.deviation[:, first]
            filled += 1
    complete[0] = True
    return samples


def perturbed(samples: Samples, carrier: Carrier, epsilon: float) -> NDArray[np.float32]:
    """Images [N, C, H, W] changed by the carrier within their bounds, on the grid of the file.

    The same rounding as `IntensityWindow.write_back`, on the window as 0 to 1.
    """
    count, *sides = samples["hides_stripes"].shape
    # Patches begin where the carriers have their first phase, see `_patch`; they are taken for slices of a stack here.
    box = (slice(0, count), slice(0, sides[0]), slice(0, sides[1]))
    pattern = carrier.pattern(box, (2.0, 1.0, 1.0), (count, *sides), samples["hides_stripes"])
    delta = samples["bound"] * np.broadcast_to(pattern, (count, *sides))[:, np.newaxis]
    quantum = samples["quantum"][..., np.newaxis, np.newaxis]
    step = np.where(quantum > 0, quantum, np.float32(1))
    levels = np.floor(epsilon / step + 1e-6)
    on_grid = np.clip(np.rint(delta / step), -levels, levels) * step
    return np.clip(samples["image"] + np.where(quantum > 0, on_grid, delta), 0, 1).astype(np.float32)


def _drawn(
    ids: Sequence[str], cohort: Cohort, count: int, random: np.random.Generator
) -> Iterator[tuple[str, list[int]]]:
    """Which pieces of which case: every slice or volume as often as any other, give or take one."""
    total = sum(cohort.pieces)
    orders = [random.permutation(total) for _ in range(0, count, total)]
    chosen = np.sort(np.concatenate(orders)[:count])  # pieces are counted through all cases
    first = np.cumsum((0, *cohort.pieces))
    for case_id, before, mine in zip(ids, first, np.split(chosen, np.searchsorted(chosen, first[1:-1]))):
        if mine.size:
            yield case_id, (mine - before).tolist()


def _sample(case: Case, windows: Windows, core: Box, cohort: Cohort, plan: Plan, setup: Setup) -> Samples:
    """The patch `core` of an upright case, without what it is z-scored with."""
    radius = setup.radius(case)
    region = region_of(case, windows, slab_with_halo(core, [max(r, 1) for r in radius], case.shape_kji), radius)
    inner = region.slab.inner
    bound = region.bound(setup.params)[inner]
    inside = np.stack([window.contains(channel[core]) for window, channel in zip(windows, case.image)])
    values: dict[str, NDArray[Any]] = {
        "image": region.image[(slice(None), *inner)],
        "bound": np.float32(setup.params.budget_share) * bound * inside,
        "hides_stripes": region.hides_stripes(setup.params)[inner],
        "classes": cohort.classes.of([layer[core] for layer in case.segments]),
        "contour": region.contour[inner],
    }
    sample = np.zeros((), sample_dtype(cohort, plan))
    for name, array in values.items():
        array = array[..., 0, :, :] if cohort.dimensions == 2 else array
        ends = tuple(slice(side) for side in array.shape[-cohort.dimensions :])
        sample[name][(..., *ends)] = array  # type: ignore[index]
    sample["quantum"] = [(window.quantum or 0.0) / window.width for window in windows]
    return sample


def _patch(foreground: NDArray[np.bool_], first: int, sides: tuple[int, ...], random: np.random.Generator) -> Box:
    """A box of at most `sides` around a foreground voxel; begins where the generators' halvings begin.

    `foreground` begins with slice number `first`.
    """
    block = 2 ** GENERATOR_DEPTH[len(sides)]
    anchor = np.unravel_index(random.choice(np.flatnonzero(foreground)), foreground.shape)
    box = []
    for side, size, at in zip((1,) * (3 - len(sides)) + sides, foreground.shape, anchor):
        before = random.integers(side // 4, max(1, 3 * side // 4) + 1)
        origin = int(np.clip(at - before, 0, max(0, size - side))) // block * block
        box.append(slice(origin, min(origin + side, size)))
    return slice(first + box[0].start, first + box[0].stop), box[1], box[2]
