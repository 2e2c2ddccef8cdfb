"""Fuzzing: mutated submissions, rows, archives and histories, each accepted or refused in one clear line.

Every case follows from its number: `python -m tests.fuzzing --case N` repeats one and shows what it did.
`originals` holds sound files, `mutators` changes them, `targets` reads them, `worker` bounds memory and time.
"""
