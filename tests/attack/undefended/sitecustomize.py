"""Takes a defence away in every Python process that a test starts: the folder of this file stands in PYTHONPATH then.

``UNDEFENDED`` holds the place of the row in ``DEFENCES``. Agents verify in a child, and servers and agents are
processes of their own, so that replacing a function in the process of the test alone would change nothing for them.
"""

from __future__ import annotations

import os

from attack.defence import take_away
from attack.defences import DEFENCES

if place := os.environ.get("UNDEFENDED"):
    take_away(DEFENCES[int(place)])
