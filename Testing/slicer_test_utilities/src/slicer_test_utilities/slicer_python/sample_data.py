"""Stands in for the module `SampleData`: registers sources and runs custom downloaders; it downloads nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class SampleDataSource:
    """One registered sample."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class SampleDataLogic:
    """`registerCustomSampleDataSource` is called by modules; `downloadSample` by users and tests."""

    sources: dict[str, list[SampleDataSource]] = {}
    generators: dict[str, Callable[[], Any]] = {}
    """Test host only: stands in for Slicer's own samples, by sample name; a function that returns the node."""

    @classmethod
    def registerCustomSampleDataCategory(cls, category: str, title: str | None = None, **_: Any) -> None:
        cls.sources.setdefault(category, [])

    @classmethod
    def registerCustomSampleDataSource(
        cls,
        category: str = "Custom",
        sampleName: str | None = None,
        uris: Any = None,
        fileNames: Any = None,
        nodeNames: Any = None,
        customDownloader: Callable[[SampleDataSource], Any] | None = None,
        thumbnailFileName: str | None = None,
        loadFileTypes: Any = None,
        loadFiles: Any = None,
        loadFileProperties: dict[str, Any] | None = None,
        checksums: Any = None,
        **_: Any,
    ) -> None:
        if sampleName is None or (uris is None and customDownloader is None):
            raise ValueError(f"sample data '{sampleName}' needs a sampleName, and uris or a customDownloader")
        fields = {name: value for name, value in locals().items() if name not in ("cls", "_")}
        cls.sources.setdefault(category, []).append(SampleDataSource(**fields))

    def downloadSamples(self, sampleName: str) -> list[Any]:
        if sampleName in self.generators:
            return [self.generators[sampleName]()]
        for source in (source for sources in self.sources.values() for source in sources):
            if source.__dict__["sampleName"] == sampleName:
                downloader = source.__dict__["customDownloader"]
                if downloader is None:
                    raise RuntimeError(f"sample '{sampleName}' would be downloaded; tests have no network")
                result = downloader(source)
                return list(result) if isinstance(result, list | tuple) else [result]
        raise RuntimeError(f"no sample data named '{sampleName}' is registered")

    def downloadSample(self, sampleName: str) -> Any:
        return self.downloadSamples(sampleName)[0]


def downloadSample(sampleName: str) -> Any:
    return SampleDataLogic().downloadSample(sampleName)


def downloadSamples(sampleName: str) -> list[Any]:
    return SampleDataLogic().downloadSamples(sampleName)
