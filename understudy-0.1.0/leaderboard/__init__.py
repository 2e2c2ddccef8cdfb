"""The leaderboard: scores and verifies stored rows and writes their tables; nothing here plays a model."""
