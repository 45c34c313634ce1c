"""Rules for .ui files. Slicer loads an unknown class as a plain QWidget and ignores broken connections."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax import handler, make_parser

from . import parameters
from .finding import Finding
from .widget_classes import is_known, needs_scene

PARAMETER = "SlicerParameterName"
_SCENE_SLOT = "setMRMLScene(vtkMRMLScene*)"


class _Widget(dict):
    """class, name, line, properties: name -> (is dynamic, text, line)"""


def check(path: Path) -> Iterator[Finding]:
    """Unknown classes, broken connections, widgets without scene, parameter names that bind nothing."""
    try:
        tree = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        yield Finding(path, error.position[0], "ui-syntax", f"cannot be read: {error}")
        return
    widgets = _read_widgets(path)
    yield from _check_classes(path, widgets)
    yield from _check_connections(path, tree, widgets)
    yield from _check_parameters(path, widgets)


def _check_classes(path: Path, widgets: list[_Widget]) -> Iterator[Finding]:
    for widget in widgets:
        if not is_known(widget["class"]):
            text = f"unknown class {widget['class']}: Slicer would load a plain QWidget"
            yield Finding(path, widget["line"], "ui-unknown-class", text)


def _check_connections(path: Path, tree: ElementTree.Element, widgets: list[_Widget]) -> Iterator[Finding]:
    names = {widget["name"] for widget in widgets}
    lines = path.read_text(encoding="utf-8").splitlines()
    have_scene = set()
    for connection in tree.iter("connection"):
        sender, signal, receiver, slot = (connection.findtext(t, "") for t in ("sender", "signal", "receiver", "slot"))
        missing = [name for name in (sender, receiver) if name not in names]
        if missing:
            tag = "receiver" if missing[-1] == receiver else "sender"
            line = _line_of(lines, f"<{tag}>{missing[-1]}</{tag}>")
            text = f"connection {sender}.{signal} -> {receiver}.{slot} names no widget '{missing[-1]}'"
            yield Finding(path, line, "ui-broken-connection", text)
        elif slot == _SCENE_SLOT:
            have_scene.add(receiver)
    for widget in widgets[1:]:
        if needs_scene(widget["class"]) and widget["name"] not in have_scene and not _set_in_code(path, widget["name"]):
            text = f"{widget['class']} '{widget['name']}' has no scene: connect mrmlSceneChanged to {_SCENE_SLOT}"
            yield Finding(path, widget["line"], "ui-no-scene", text)


def _set_in_code(path: Path, name: str) -> bool:
    pattern = re.compile(rf"\b{re.escape(name)}\.setMRMLScene\(")
    return any(pattern.search(source) for source in parameters.sources_of(path))


def _check_parameters(path: Path, widgets: list[_Widget]) -> Iterator[Finding]:
    known = parameters.known_names(path)
    for widget in widgets:
        for name, (is_dynamic, text, line) in widget["properties"].items():
            if name == PARAMETER and known and text.split(".")[0] not in known:
                message = f"{PARAMETER} '{text}' of '{widget['name']}' is no parameter of {', '.join(sorted(known))}"
                yield Finding(path, line, "ui-unknown-parameter", message)
            elif name == PARAMETER and not known:
                message = (
                    f"{PARAMETER} '{text}' of '{widget['name']}' binds nothing: no @parameterNodeWrapper was found"
                )
                yield Finding(path, line, "ui-unknown-parameter", message)
            elif is_dynamic and name in known and PARAMETER not in widget["properties"]:
                message = f"'{widget['name']}' is not bound: the property is called '{name}' instead of {PARAMETER}"
                yield Finding(path, line, "ui-unbound-parameter", message)


def _line_of(lines: list[str], text: str) -> int:
    return next((number for number, line in enumerate(lines, 1) if text in line), 0)


def _read_widgets(path: Path) -> list[_Widget]:
    reader = _Reader()
    parser = make_parser()
    parser.setContentHandler(reader)
    parser.parse(str(path))
    return reader.widgets


class _Reader(handler.ContentHandler):
    """Widgets with their line numbers, which ElementTree does not keep."""

    def __init__(self) -> None:
        super().__init__()
        self.widgets: list[_Widget] = []
        self._open: list[_Widget | None] = []
        self._property: tuple[str, bool, int] | None = None
        self._text = ""

    def setDocumentLocator(self, locator: Any) -> None:
        self._locator = locator

    def startElement(self, tag: str, attributes: Any) -> None:
        line = self._locator.getLineNumber()
        if tag == "widget":
            widget = _Widget({"class": attributes["class"], "name": attributes["name"], "line": line, "properties": {}})
            self.widgets.append(widget)
            self._open.append(widget)
        elif tag in ("layout", "spacer", "action"):
            self._open.append(None)
        elif tag == "property":
            self._property = (attributes["name"], attributes.get("stdset") == "0", line)
            self._text = ""

    def characters(self, content: str) -> None:
        self._text += content

    def endElement(self, tag: str) -> None:
        if tag in ("widget", "layout", "spacer", "action"):
            self._open.pop()
        elif tag == "property" and self._property is not None:
            name, is_dynamic, line = self._property
            owner = self._open[-1] if self._open else None
            if owner is not None:
                owner["properties"][name] = (is_dynamic, self._text.strip(), line)
            self._property = None
