"""TFLite Micro's tensor arena, byte by byte, for its reference kernels and those of CMSIS-NN."""
