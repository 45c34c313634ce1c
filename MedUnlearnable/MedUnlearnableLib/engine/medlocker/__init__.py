"""MedLocker (Pu et al., arXiv 2303.09858): a visible logo, placed so that diagnostic models fail, never on a lesion.

Our implementation of the published idea. Ours: the ink as a further gene, the start along the gradient, the mode
`sealed`, and profile `instant`, which takes a place that the key decides and needs no model.
"""

from .method import MedLocker
from .params import METHOD, PROFILES, TRAINED_PROFILES, MedLockerParams, auto_profile

__all__ = ["METHOD", "PROFILES", "TRAINED_PROFILES", "MedLocker", "MedLockerParams", "auto_profile"]
