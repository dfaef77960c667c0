"""``python -m edgefleet`` is the command ``edgefleet``."""

import sys

from edgefleet.main import main

sys.exit(main())
