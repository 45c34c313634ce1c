"""What is wrong with a certificate."""

from ..errors import Refused


class BadCertificate(Refused):
    """The certificate or its payload is forged, damaged, or of another format."""
