"""SALM: a sparse perturbation of classification data sets (after Sun et al., arXiv 2403.10573).

Our implementation of the published idea. The body of the paper was not available to us, so what its abstract leaves
open is our choice: the mask rule, the share of pixels, and all parameters.
"""

from .method import METHOD, SALM
from .params import DEFAULT_EPSILON, PROFILES, REGIONS, TRAINED_PROFILES, MinMinParams, SALMParams

__all__ = ["DEFAULT_EPSILON", "METHOD", "PROFILES", "REGIONS", "SALM", "TRAINED_PROFILES", "MinMinParams", "SALMParams"]
