"""Keras and SavedModel files: loaded and converted by TensorFlow in a process of its own, then compared with it.

TensorFlow takes seconds to import and half a gigabyte of memory, its converters report success for models that nothing
can load, and what it loads may carry code. So nothing of it is ever imported here: ``child`` is a program of its own
that is started, limited and timed by ``process``, and gives back a ``.tflite`` model with reference values.
"""
