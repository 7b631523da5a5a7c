"""Configuration files of an API server: what they are made of, and what is wrong with them, as upstream says it."""
