"""Library of the sample module."""
