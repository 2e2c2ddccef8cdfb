"""The Hugging Face Hub: pinned locations, checked fetches, atomic publishing; for data sets and models."""
