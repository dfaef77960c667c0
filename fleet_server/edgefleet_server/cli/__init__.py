"""The operator's nouns of the ``edgefleet`` command, one module each."""
