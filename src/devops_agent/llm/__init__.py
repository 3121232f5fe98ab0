"""The door to language models: one question, one answer, counted, capped and redacted. Nothing else leads to them."""
