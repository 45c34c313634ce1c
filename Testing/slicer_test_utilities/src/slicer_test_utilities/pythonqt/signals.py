"""Signals and slots with PythonQt's spelling and argument rules, stricter where PythonQt is silent.

An unknown signal, a signature without parentheses and a receiver that cannot be called raise here; in Slicer they
return False, print one line on the console, or fail at every emit.
"""

from __future__ import annotations

import inspect
import re
import weakref
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

import shiboken6
from PySide6 import QtCore

from ..problems import problems
from .classes import is_cpp_class, raw

_qt_connect = QtCore.QObject.connect
_qt_disconnect = QtCore.QObject.disconnect
_qt_emit = QtCore.QObject.emit

# Per C++ object: (signature, receiver, relay given to Qt). Keyed by address, because Python wrappers of objects that
# Qt made come and go while the connection stays.
_connections: dict[int, list[tuple[str, Any, Callable[..., None]]]] = {}


def connect(sender: QtCore.QObject, signature: str, *target: Any) -> bool:
    """connect(signature, callable) and connect(signature, receiver, "slot(QString)")."""
    return _attach(sender, resolve(sender, signature), target)


def disconnect(sender: QtCore.QObject, signature: str, *target: Any) -> bool:
    """False if there was nothing to disconnect; all receivers of the signal if no receiver is given."""
    return _detach(sender, resolve(sender, signature), target)


def _attach(sender: QtCore.QObject, qt_signature: str, target: tuple[Any, ...]) -> bool:
    receiver, count = _receiver(target)
    if count is None:
        count = _accepted_arguments(receiver)
    relay = _relay(receiver, count, _argument_count(qt_signature))
    _qt_connect(sender, QtCore.SIGNAL(qt_signature), relay)
    _table(sender).append((qt_signature, receiver, relay))
    return True


def _detach(sender: QtCore.QObject, qt_signature: str, target: tuple[Any, ...]) -> bool:
    table = _table(sender)
    receiver = _receiver(target)[0] if target else None
    found = [entry for entry in table if entry[0] == qt_signature and (not target or entry[1] == receiver)]
    for entry in found:
        table.remove(entry)
        _qt_disconnect(sender, QtCore.SIGNAL(qt_signature), entry[2])
    return bool(found)


def resolve(sender: QtCore.QObject, signature: str) -> str:
    """The signature as Qt knows it; stand-ins declare their C++ signatures in `cpp_signals`."""
    normalized = bytes(QtCore.QMetaObject.normalizedSignature(signature.lstrip("0123456789"))).decode()
    declared = getattr(type(sender), "cpp_signals", {})
    if normalized in declared:
        return declared[normalized]
    meta_object = raw(sender, "metaObject")()
    if "(" not in signature or "PyObject" in signature or meta_object.indexOfSignal(normalized) < 0:
        raise RuntimeError(f"signal '{signature}' does not exist on {type(sender).__name__}")
    return normalized


def overloads(sender: QtCore.QObject, name: str) -> list[str]:
    """All signatures of a signal, in the order of its class; PythonQt means the first by `sender.name`."""
    meta_object = raw(sender, "metaObject")()
    methods = (meta_object.method(index) for index in range(meta_object.methodCount()))
    return [
        bytes(method.methodSignature()).decode()
        for method in methods
        if method.methodType() == QtCore.QMetaMethod.MethodType.Signal and bytes(method.name()).decode() == name
    ]


class BoundSignal:
    """`widget.clicked`: can be connected, emitted and called, as in PythonQt."""

    def __init__(self, sender: QtCore.QObject, name: str) -> None:
        self._sender = sender
        self._name = name

    def connect(self, receiver: Callable[..., Any]) -> bool:
        return _attach(self._sender, overloads(self._sender, self._name)[0], (receiver,))

    def disconnect(self, *receiver: Callable[..., Any]) -> bool:
        return _detach(self._sender, overloads(self._sender, self._name)[0], receiver)

    def emit(self, *arguments: Any) -> None:
        for signature in overloads(self._sender, self._name):
            if _argument_count(signature) == len(arguments):
                _qt_emit(self._sender, QtCore.SIGNAL(signature), *arguments)
                return
        raise ValueError(f"signal '{self._name}' cannot be emitted with {len(arguments)} arguments")

    __call__ = emit


def _receiver(target: tuple[Any, ...]) -> tuple[Any, int | None]:
    """The callable, and how many arguments a slot given by its signature takes."""
    if len(target) == 1:
        if not callable(target[0]):
            raise ValueError(f"cannot connect to {target[0]!r}: it cannot be called")
        return target[0], None
    owner, slot = target
    name = re.sub(r"^[12]", "", slot).split("(")[0]
    if "(" not in slot or not callable(getattr(owner, name, None)):
        raise RuntimeError(f"slot '{slot}' does not exist on {type(owner).__name__}")
    return getattr(owner, name), _argument_count(slot)


def _accepted_arguments(receiver: Any) -> int | None:
    """How many signal arguments PythonQt hands over; None for all. A default value does not protect a parameter."""
    function = receiver.__func__ if isinstance(receiver, MethodType) else receiver
    if not isinstance(function, FunctionType):
        return None
    if isinstance(receiver, MethodType) and is_cpp_class(type(receiver.__self__)):
        return None
    code = function.__code__
    if code.co_flags & inspect.CO_VARARGS:
        return None
    return code.co_argcount - (1 if isinstance(receiver, MethodType) else 0)


def _argument_count(signature: str) -> int:
    inside = signature[signature.index("(") + 1 : signature.rindex(")")].strip()
    return inside.count(",") + 1 if inside else 0


def _relay(receiver: Callable[..., Any], accepted: int | None, sent: int) -> Callable[..., None]:
    """What Qt calls. It holds the receiver, so a bound method keeps its owner alive, as in PythonQt."""

    def call(*arguments: Any) -> None:
        try:
            receiver(*(arguments if accepted is None else arguments[:accepted]))
        except Exception as error:  # noqa: BLE001 - Qt would swallow it; the test fails with it
            problems.add_exception("exception in a slot", error)

    # PySide6 asks the relay how many arguments it wants, and gives a relay with *args too few.
    relays: list[Callable[..., None]] = [
        lambda: call(),
        lambda a: call(a),
        lambda a, b: call(a, b),
        lambda a, b, c: call(a, b, c),
        lambda a, b, c, d: call(a, b, c, d),
    ]
    return relays[sent]


def _table(sender: QtCore.QObject) -> list[tuple[str, Any, Callable[..., None]]]:
    address = shiboken6.getCppPointer(sender)[0]
    if address not in _connections:
        _connections[address] = []
        _qt_connect(sender, QtCore.SIGNAL("destroyed()"), lambda: _connections.pop(address, None))
    return _connections[address]


def receivers(sender: QtCore.QObject) -> list[Any]:
    """Everything that is connected to a signal of this object from Python."""
    return [receiver for _, receiver, _ in _table(sender)]


def weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    """A receiver that does not keep its owner alive: stand-ins connect their own parts this way.

    C++ widgets hold no reference to themselves either, so an unreferenced one is destroyed.
    """
    reference: Any = weakref.WeakMethod(method)

    def call(*arguments: Any) -> None:
        alive = reference()
        if alive is not None and shiboken6.isValid(alive.__self__):
            alive(*arguments)

    return call
