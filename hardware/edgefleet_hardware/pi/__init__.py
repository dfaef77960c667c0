"""An emulated Raspberry Pi: a Debian root with the real runtimes, QEMU's user mode, and a counter of instructions.

Nothing here needs privileges or registers anything with the kernel: QEMU runs one program of the root and looks for its
files under the root first. Build the root with ``make pi`` or ``python -m edgefleet_hardware.pi``.
"""
