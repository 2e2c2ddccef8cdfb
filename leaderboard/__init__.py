"""The leaderboard: stored rows judged, verified by replay, and put in tables; nothing here plays a model."""
