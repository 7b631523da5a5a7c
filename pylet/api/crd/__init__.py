"""Custom resources as pure functions: a CustomResourceDefinition becomes Kinds, a schema rules on objects."""
