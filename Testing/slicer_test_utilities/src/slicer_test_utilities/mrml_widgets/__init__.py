"""Stand-ins for the qMRML widgets, registered as attributes of `slicer`."""

from __future__ import annotations

import slicer

from ..pythonqt import stand_ins


def install() -> None:
    """Make the widgets available as `slicer.qMRMLNodeComboBox` and so on; qt and ctk must be in place."""
    from . import base, node_combo_box, segment_widgets, views

    for module in (base, node_combo_box, segment_widgets, views):
        for name, value in vars(module).items():
            if stand_ins.get(name) is value and not name.startswith("ctk"):
                setattr(slicer, name, value)
