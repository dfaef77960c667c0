"""TFLite files: bytes to lowered graph and back, on the schema that ships with ai-edge-litert.

``reader`` and ``writer`` hold no code per operator: ``options`` maps every operator's options table to attributes, and
``versions`` is the one table of operator versions.
"""
