"""Queued work: jobs, their leases and journals in a database, and the workers that walk them."""
