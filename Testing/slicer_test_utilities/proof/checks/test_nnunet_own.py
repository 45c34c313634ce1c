"""The authors' own WidgetTestCase, unmodified, with their sample volume generated instead of downloaded."""

import sys
import unittest

import pytest


@pytest.mark.allow_slicer_problems("leak")  # the panel removes its observer in __del__ only
@pytest.mark.parametrize("file_name", ["WidgetTestCase"])
def test_all_cases_pass(slicer_app, proof_folder, add_volume, file_name):
    import SampleData

    SampleData.SampleDataLogic.downloadDentalSurgery = lambda self: add_volume("PostDentalSurgery")
    sys.path.insert(0, str(proof_folder / "SlicerNNUnet/SlicerNNUnet"))
    suite = unittest.defaultTestLoader.loadTestsFromName(f"Testing.{file_name}")
    result = unittest.TestResult()
    suite.run(result)
    assert result.testsRun == 4
    assert not result.errors + result.failures, result.errors + result.failures
