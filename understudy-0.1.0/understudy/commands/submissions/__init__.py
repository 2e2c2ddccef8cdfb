"""Commands of the group `understudy submissions`, one file each with an object `COMMAND`."""
