"""The certificate `mul-cert/1`: who protected an image, whether it is unchanged, and for the key holder the original.

docs/certificate.md is the specification. Needs cryptography and PyNaCl, never torch.
"""
