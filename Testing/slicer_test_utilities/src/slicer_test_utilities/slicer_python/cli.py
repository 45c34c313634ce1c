"""Stands in for `slicer.cli`: there are no command line modules in the test host."""

from __future__ import annotations

from typing import Any


def run(module: Any, node: Any = None, parameters: dict[str, Any] | None = None, **options: Any) -> Any:
    raise RuntimeError(
        "slicer.cli.run: command line modules do not exist in the test host; replace the call in the test"
    )


runSync = run


def createNode(module: Any, parameters: dict[str, Any] | None = None) -> Any:
    return run(module)
