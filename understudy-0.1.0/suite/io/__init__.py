"""Files, file locks, interrupts and worker processes."""
