"""The hardware models run on: target profiles, and what stands beside them (kernels, boards, emulated machines)."""
