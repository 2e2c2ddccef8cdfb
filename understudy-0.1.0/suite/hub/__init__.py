"""The Hugging Face Hub: pinned locations, checked downloads, atomic publishing, for datasets and models."""
