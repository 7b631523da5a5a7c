"""Custom resources while the server runs: what definitions serve, conversion between versions, webhooks."""
