"""`python -m MedUnlearnableLib`: the command line, also as `PythonSlicer -m MedUnlearnableLib`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
