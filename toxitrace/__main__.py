"""``python -m toxitrace``."""

import sys

from toxitrace.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
