"""Stands in for the module `SampleData`: registers sources; it downloads nothing.

As in Slicer, only a click in the module runs a customDownloader (`clickSample` here); `downloadSample` ignores it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class SampleDataSource:
    """One registered sample."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class SampleDataLogic:
    """`registerCustomSampleDataSource` is called by modules; `downloadSample` by users and scripts."""

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
        if uris is None:  # Slicer iterates over it, also beside a customDownloader
            raise TypeError(
                f"sample data '{sampleName}' needs uris, fileNames and nodeNames; give [] where there are none"
            )
        fields = {name: value for name, value in locals().items() if name not in ("cls", "_")}
        cls.sources.setdefault(category, []).append(SampleDataSource(**fields))

    def downloadSamples(self, sampleName: str) -> list[Any]:
        if sampleName in self.generators:
            return [self.generators[sampleName]()]
        if self._source(sampleName).__dict__["uris"]:
            raise RuntimeError(f"sample '{sampleName}' would be downloaded; tests have no network")
        return []  # nothing to fetch, and Slicer does not run the customDownloader here

    def clickSample(self, sampleName: str) -> Any:
        """Test host only: what a click on the sample in the module does."""
        source = self._source(sampleName)
        downloader = source.__dict__["customDownloader"]
        return downloader(source) if downloader is not None else self.downloadSamples(sampleName)

    def _source(self, sampleName: str) -> SampleDataSource:
        for source in (source for sources in self.sources.values() for source in sources):
            if source.__dict__["sampleName"] == sampleName:
                return source
        raise RuntimeError(f"no sample data named '{sampleName}' is registered")

    def downloadSample(self, sampleName: str) -> Any:
        return self.downloadSamples(sampleName)[0]


def downloadSample(sampleName: str) -> Any:
    return SampleDataLogic().downloadSample(sampleName)


def downloadSamples(sampleName: str) -> list[Any]:
    return SampleDataLogic().downloadSamples(sampleName)
