"""``python -m gramlab`` is ``gramlab``."""

import sys

from gramlab.cli import main

if __name__ == "__main__":
    sys.exit(main())
