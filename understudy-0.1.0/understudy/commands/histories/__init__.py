"""The commands of `understudy histories`: one file each, with one object `COMMAND`."""
