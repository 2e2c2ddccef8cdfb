"""How lives become verdicts: skills, units, contrasts, rulers, conditions. The tasks are written with it."""
