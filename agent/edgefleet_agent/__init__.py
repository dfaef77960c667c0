"""The agent: verifies, tries and activates bundles on a device, runs inference there, and reports what it sees.

The long-lived process imports the standard library, msgspec, cryptography, paho and the contract. Whatever needs
numpy or an inference runtime lives in ``child`` and ``runtimes`` and runs in a process of its own.
"""

from __future__ import annotations

from importlib import metadata


def agent_version() -> str:
    """The version of the agent that is installed."""
    return metadata.version("edgefleet")
