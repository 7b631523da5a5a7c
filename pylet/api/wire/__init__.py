"""Objects as bytes and bytes as objects: JSON and YAML in, Table and metadata-only answers out. Pure functions."""
