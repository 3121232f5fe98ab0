"""Tools: the only hands and eyes of the agent. Probes look, changes say which commands would change something."""
