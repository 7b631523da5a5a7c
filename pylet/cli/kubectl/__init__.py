"""What the kubectl verbs share: the thin client, resources, printers. No verb in here, and nothing slow to import."""
