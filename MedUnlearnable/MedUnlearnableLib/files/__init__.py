"""Files on disk: formats, case discovery, manifests. The engine never opens a file."""
