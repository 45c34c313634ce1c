"""Stands in for `slicer.parameterNodeWrapper`: the types and widgets that most modules use.

Not here: dict, tuple, mixed unions, Any, QColor, ranges, and the creation of widgets from a pack.
"""

from .annotations import Choice, Decimals, Default, Maximum, Minimum, NotNone, SingleStep, Validator, WithinRange
from .codecs import ObservedList
from .packs import parameterPack
from .wrapper import isParameterNodeWrapper, parameterNodeWrapper

SlicerParameterNamePropertyName = "SlicerParameterName"

__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "Maximum",
    "Minimum",
    "NotNone",
    "ObservedList",
    "SingleStep",
    "SlicerParameterNamePropertyName",
    "Validator",
    "WithinRange",
    "isParameterNodeWrapper",
    "parameterNodeWrapper",
    "parameterPack",
]
