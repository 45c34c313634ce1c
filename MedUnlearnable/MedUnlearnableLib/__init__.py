"""MedUnlearnable: protect medical images against training without permission."""

__version__ = "0.1.0"
