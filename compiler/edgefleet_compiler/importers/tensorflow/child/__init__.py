"""The program that runs TensorFlow: ``python -m edgefleet_compiler.importers.tensorflow.child``.

It reads a ``Question`` from stdin. What can be told without TensorFlow is told before it is loaded: the source is
inspected, and refused if loading it would run code. Only this package imports TensorFlow, and nobody imports it.
"""
