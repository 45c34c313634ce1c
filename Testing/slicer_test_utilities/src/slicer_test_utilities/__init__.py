"""Test 3D Slicer scripted modules in plain pytest, without Slicer."""
