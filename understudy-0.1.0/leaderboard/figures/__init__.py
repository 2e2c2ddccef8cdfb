"""Figures of scored rows and recorded runs; each file draws one kind."""
