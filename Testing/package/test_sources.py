"""What an extension build needs of the sources."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = ROOT / "MedUnlearnable"


def test_cmake_lists_every_library_file():
    listed = set(re.findall(r"^\s+(MedUnlearnableLib/\S+\.py)$", (MODULES / "CMakeLists.txt").read_text(), re.M))
    there = {path.relative_to(MODULES).as_posix() for path in (MODULES / "MedUnlearnableLib").rglob("*.py")}
    assert listed == there


def test_cmake_lists_every_resource():
    listed = set(re.findall(r"^\s+(Resources/\S+)$", (MODULES / "CMakeLists.txt").read_text(), re.M))
    there = {path.relative_to(MODULES).as_posix() for path in (MODULES / "Resources").rglob("*") if path.is_file()}
    assert listed == there


def test_only_module_files_lie_beside_the_modules():
    assert all(path.name.startswith("MedUnlearnable") for path in MODULES.glob("*.py"))


def test_every_source_parses_as_python_3_10():
    for path in MODULES.rglob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 10))


def test_no_source_speaks_of_the_network():
    allowed_in_text = re.compile(r"https://(www\.w3\.org|nifti\.nimh\.nih\.gov|teem\.sourceforge\.net)|http-equiv")
    for path in MODULES.rglob("*.py"):
        text = allowed_in_text.sub("", path.read_text())
        assert "http" not in text, path
        assert not re.search(r"^\s*(import|from) (socket|urllib|requests|http)\b", text, re.M), path
