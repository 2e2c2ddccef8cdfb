"""Pictures for people, drawn from arrays; each file draws one kind."""
