"""What the machine gives: the JAX device, compiled code, cores and BLAS threads, memory."""
