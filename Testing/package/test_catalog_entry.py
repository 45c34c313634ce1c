"""The entry for Slicer's extension catalog, against the catalog's rules and our CMakeLists.txt."""

import json
import re
from pathlib import Path
from urllib.parse import urlparse

import pytest

ROOT = Path(__file__).parents[2]
ENTRY = ROOT / "Resources" / "ExtensionsIndex" / "MedUnlearnable.json"
#: The schema 1.0.1 allows no other key.
ALLOWED = {"$schema", "build_dependencies", "build_subdirectory", "category", "scm_revision", "scm_url", "tier"}
REQUIRED = {"$schema", "category", "scm_url"}
CMAKE = (ROOT / "CMakeLists.txt").read_text()


@pytest.fixture(scope="module")
def entry():
    return json.loads(ENTRY.read_text())


def cmake(name):
    return re.search(rf'set\({name} "([^"]*)"\)', CMAKE)[1]


def test_the_keys_are_those_of_the_schema(entry):
    assert set(entry) <= ALLOWED
    assert set(entry) >= REQUIRED
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.1.json#")


def test_line_ends_are_those_the_catalog_asks_for():
    assert b"\r" not in ENTRY.read_bytes()


def test_the_category_is_one_of_the_catalog_and_of_the_module(entry):
    assert entry["category"] == "Informatics"  # accepted by the catalog; there is none called Privacy
    assert '"Informatics"' in (ROOT / "MedUnlearnable" / "MedUnlearnable.py").read_text()


def test_the_repository_has_the_prefix_and_the_extension_does_not(entry):
    repository = urlparse(entry["scm_url"]).path.split("/")[-1]
    project = re.search(r"project\((\w+)\)", CMAKE)[1]
    assert repository == f"Slicer{project}"
    assert project == ENTRY.stem
    assert not project.startswith("Slicer")


def test_homepage_dependencies_and_folder_agree_with_cmake(entry):
    assert cmake("EXTENSION_HOMEPAGE") == entry["scm_url"]
    assert cmake("EXTENSION_DEPENDS").split() == entry["build_dependencies"]
    assert (ROOT / entry["build_subdirectory"] / "CMakeLists.txt").is_file()


@pytest.mark.parametrize("name", ["EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"])
def test_icon_and_screenshots_are_pictures_of_this_repository(entry, name):
    for url in cmake(name).split():
        owner, repository, branch, *path = urlparse(url).path.strip("/").split("/")
        assert f"/{owner}/{repository}" == urlparse(entry["scm_url"]).path
        assert branch == entry["scm_revision"]
        assert (ROOT / Path(*path)).read_bytes().startswith(b"\x89PNG")


def test_description_and_license_are_there():
    assert 20 < len(cmake("EXTENSION_DESCRIPTION")) < 300
    assert cmake("EXTENSION_CONTRIBUTORS")
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_the_checkout_stays_far_below_the_limit_of_the_catalog():
    """100 MB; tracked files only would need git, so the folders that hold pictures and data are counted."""
    folders = [ROOT / name for name in ("MedUnlearnable", "Resources", "Testing", "docs")]
    size = sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())
    assert size < 50e6
