"""The CMake stub installs published extensions, and their modules lie flat in one folder."""

import pytest


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("SlicerNNUnet", "SlicerNNUNet.py"),
        ("SlicerTotalSegmentator", "TotalSegmentator.py"),
    ],
)
def test_the_extension_installs(installed_tree, proof_folder, source, module):
    assert (installed_tree(proof_folder / source) / module).is_file()
