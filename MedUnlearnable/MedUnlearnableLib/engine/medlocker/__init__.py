"""MedLocker (Pu et al., arXiv 2303.09858): a visible logo, placed so that diagnostic models fail, never on a lesion."""
