"""How failures come in by themselves (webhooks, watched files) and answers go where people are."""
