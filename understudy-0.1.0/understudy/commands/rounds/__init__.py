"""The commands of `understudy rounds`: one file each, with one object `COMMAND`."""
