"""The product's knowledge: one YAML file a runbook, the vocabulary of causes, and what keeps them right."""
