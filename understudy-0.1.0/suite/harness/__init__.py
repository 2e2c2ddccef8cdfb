"""Everything that plays: jobs, rollout, exploration of lanes, interventions, checks and records."""
