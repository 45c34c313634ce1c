"""The MRML scene: volumes, segments and result nodes. Works in Slicer and on the slicer-core wheel; no Qt."""
