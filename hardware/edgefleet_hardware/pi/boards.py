"""The boards that are emulated, and what Linux tells programs of them.

Runtimes choose their kernels by ``/proc/cpuinfo`` and ``/sys/devices/system/cpu``; without these files they take others
than on the board. The forms are those of Linux: ``arch/arm64/kernel/cpuinfo.c`` and
``Documentation/ABI/testing/sysfs-devices-system-cpu``.
"""

from __future__ import annotations

from dataclasses import dataclass

_ARM_LIMITED = 0x41  # MIDR_EL1.Implementer, Arm Architecture Reference Manual
_CORES = 4
# Neither BCM2837 nor BCM2711 has the cryptographic extension.
_ARMV8_0 = "fp asimd evtstrm crc32 cpuid"
_ARMV8_2 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"


@dataclass(frozen=True)
class Board:
    """A 64-bit Raspberry Pi.

    Attributes:
        name: The target profile's.
        core: QEMU's name of the processor core.
        part: MIDR_EL1.PartNum: the core, as its Technical Reference Manual gives it.
        variant: MIDR_EL1.Variant: the major revision of the core in this chip.
        revision: MIDR_EL1.Revision: the minor one.
        features: Instruction set extensions as Linux names them.
        slowest_khz: The lowest clock in kHz.
        fastest_khz: The highest clock in kHz.
        model: As the firmware's device tree says it.
    """

    name: str
    core: str
    part: int
    variant: int
    revision: int
    features: str
    slowest_khz: int
    fastest_khz: int
    model: str

    def files(self) -> dict[str, str]:
        """What Linux tells of this board: contents by path, relative to the root of the file system."""
        everywhere = f"0-{_CORES - 1}\n"
        folder = "sys/devices/system/cpu"
        files = {
            "proc/cpuinfo": self._cpuinfo(),
            f"{folder}/possible": everywhere,
            f"{folder}/present": everywhere,
            f"{folder}/kernel_max": f"{_CORES - 1}\n",
        }
        for number in range(_CORES):
            files |= {
                f"{folder}/cpu{number}/cpufreq/cpuinfo_min_freq": f"{self.slowest_khz}\n",
                f"{folder}/cpu{number}/cpufreq/cpuinfo_max_freq": f"{self.fastest_khz}\n",
                f"{folder}/cpu{number}/topology/core_id": f"{number}\n",
                f"{folder}/cpu{number}/topology/physical_package_id": "0\n",
                f"{folder}/cpu{number}/topology/core_siblings_list": everywhere,
                f"{folder}/cpu{number}/topology/thread_siblings_list": f"{number}\n",
            }
        return files

    def _cpuinfo(self) -> str:
        processors = [
            f"processor\t: {number}\n"
            "BogoMIPS\t: 108.00\n"
            f"Features\t: {self.features}\n"
            f"CPU implementer\t: {_ARM_LIMITED:#x}\n"
            "CPU architecture: 8\n"
            f"CPU variant\t: {self.variant:#x}\n"
            f"CPU part\t: {self.part:#x}\n"
            f"CPU revision\t: {self.revision}\n\n"
            for number in range(_CORES)
        ]
        return "".join(processors) + f"Model\t\t: {self.model}\n"


BOARDS = {
    board.name: board
    for board in (
        Board("rpi-zero2", "cortex-a53", 0xD03, 0, 4, _ARMV8_0, 600_000, 1_000_000, "Raspberry Pi Zero 2 W Rev 1.0"),
        Board("rpi3", "cortex-a53", 0xD03, 0, 4, _ARMV8_0, 600_000, 1_200_000, "Raspberry Pi 3 Model B Rev 1.2"),
        Board("rpi4", "cortex-a72", 0xD08, 0, 3, _ARMV8_0, 600_000, 1_500_000, "Raspberry Pi 4 Model B Rev 1.4"),
        Board("rpi5", "cortex-a76", 0xD0B, 4, 1, _ARMV8_2, 1_500_000, 2_400_000, "Raspberry Pi 5 Model B Rev 1.0"),
    )
}
