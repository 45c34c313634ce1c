"""@parameterNodeWrapper: typed access to a script parameter node, and binding to widgets."""

from __future__ import annotations

import functools
from typing import Any

import slicer.util
import vtk

from .gui import Connector, connector_for, widgets_by_parameter
from .packs import data_type_of, getValue, parameters_of, setValue


def parameterNodeWrapper(cls: Any = None) -> Any:
    """Class decorator, with or without parentheses."""
    return _make_wrapper(cls) if cls is not None else _make_wrapper


def isParameterNodeWrapper(thing: Any) -> bool:
    return bool(getattr(thing, "_is_parameter_node_wrapper", False))


def _make_wrapper(cls: Any) -> Any:
    parameters = parameters_of(cls)
    for name in parameters:
        if name in vars(_Wrapper):
            raise ValueError(f"'{name}' cannot be the name of a parameter: the wrapper uses it")
        setattr(cls, name, _wrapper_property(name))
    wrapper = type(cls.__name__, (cls, _Wrapper), {"__doc__": cls.__doc__, "__module__": cls.__module__})
    wrapper.allParameters = parameters  # type: ignore[attr-defined]
    wrapper.__qualname__ = cls.__qualname__
    return wrapper


def _wrapper_property(name: str) -> property:
    return property(
        lambda self: self.allParameters[name].read(self.parameterNode, self._prefix + name),
        lambda self, value: self.allParameters[name].write(self.parameterNode, self._prefix + name, value),
    )


class _Wrapper:
    """What every wrapper can do besides its parameters."""

    _is_parameter_node_wrapper = True
    allParameters: dict[str, Any]
    _FIELDS = ("parameterNode", "_prefix", "_guis", "_next_tag", "_updating")

    def __init__(self, parameterNode: Any, prefix: str = "") -> None:
        self.parameterNode = parameterNode
        self._prefix = prefix
        self._guis: dict[int, tuple[int, dict[str, Connector]]] = {}
        self._next_tag = 0
        self._updating = False
        for name, parameter in self.allParameters.items():
            parameter.ensure(parameterNode, prefix + name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Stricter than Slicer, where a misspelled name silently becomes a Python attribute."""
        if name not in self.allParameters and name not in self._FIELDS:
            raise AttributeError(f"{type(self).__name__} has no parameter '{name}'")
        super().__setattr__(name, value)

    def default(self, name: str) -> Any:
        self.dataType(name)
        return self.allParameters[name]._default

    @classmethod
    def dataType(cls, name: str) -> Any:
        return data_type_of(cls, name)

    def getValue(self, name: str) -> Any:
        self.dataType(name)
        return getValue(self, name)

    def setValue(self, name: str, value: Any) -> None:
        self.dataType(name)
        setValue(self, name, value)

    def connectGui(self, gui: Any) -> int:
        """Bind each widget that has the dynamic property SlicerParameterName; returns a tag for disconnectGui."""
        return self.connectParametersToGui(widgets_by_parameter(gui))

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        connectors = {name: connector_for(widget, self.dataType(name)) for name, widget in mapping.items()}
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.connect(functools.partial(self._gui_changed, name))
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: self._node_changed())
        tag = self._next_tag
        self._next_tag += 1
        self._guis[tag] = (observer, connectors)
        return tag

    def disconnectGui(self, tag: int | None) -> None:
        """None and unknown tags are ignored."""
        if tag in self._guis:
            observer, connectors = self._guis.pop(tag)  # type: ignore[arg-type]
            self.RemoveObserver(observer)
            for connector in connectors.values():
                connector.disconnect()

    def _gui_changed(self, name: str) -> None:
        if self._updating:
            return
        connector = next(c[name] for _, c in self._guis.values() if name in c)
        with slicer.util.NodeModify(self):
            self.setValue(name, connector.read())

    def _node_changed(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            with slicer.util.NodeModify(self):
                for _, connectors in list(self._guis.values()):
                    for name, connector in connectors.items():
                        connector.write(self.getValue(name))
        finally:
            self._updating = False

    def StartModify(self) -> Any:
        return self.parameterNode.StartModify()

    def EndModify(self, was_modified: Any) -> Any:
        return self.parameterNode.EndModify(was_modified)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()
