"""``python -m regvq`` is ``regvq``."""

import sys

from regvq.cli import main

if __name__ == "__main__":
    sys.exit(main())
