"""One recipe tried for one target: the artifact, everything measured of it, and what the gates say."""

from edgefleet_compiler.attempt.record import Attempt
from edgefleet_compiler.attempt.trier import Trier

__all__ = ["Attempt", "Trier"]
