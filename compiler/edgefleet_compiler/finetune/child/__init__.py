"""The program that trains: ``python -m edgefleet_compiler.finetune.child``.

It reads a ``Question`` from stdin, and tells of each step and epoch through the pipe that the question names. Only this
package imports TensorFlow, and nobody imports it.
"""
