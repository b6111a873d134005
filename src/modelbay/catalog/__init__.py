"""What models are like: facts, where each comes from, and which source counts."""
