"""The agent around the engine: it keeps identity and policy fresh while the engine serves."""
