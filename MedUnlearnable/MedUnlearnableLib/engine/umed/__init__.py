"""UMed: contour- and texture-aware perturbation of segmentation data sets (after Lin et al., arXiv 2403.14250).

Our implementation of the published idea. The body of the paper was not available to us, so what others do not report
of it is our choice, and is marked as such.
"""

from .method import UMed
from .params import DEFAULT_EPSILON, METHOD, PROFILES, TEXTURE_FLOOR, TRAINED_PROFILES, UMedParams

__all__ = [
    "DEFAULT_EPSILON",
    "METHOD",
    "PROFILES",
    "TEXTURE_FLOOR",
    "TRAINED_PROFILES",
    "UMed",
    "UMedParams",
]
