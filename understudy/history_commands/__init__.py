"""The commands under `understudy histories`, one file each with one object `COMMAND`."""
