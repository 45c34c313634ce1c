"""What all rings share."""

from pathlib import Path

import pytest

_SAMPLES = Path(__file__).resolve().parents[2] / "shared" / "data" / "samples"


@pytest.fixture(scope="session")
def samples() -> Path:
    """Real images that lie beside the repository; they are not part of it."""
    if not _SAMPLES.is_dir():
        pytest.skip("the real sample images are not beside this repository")
    return _SAMPLES
