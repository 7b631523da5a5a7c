"""Custom resources as pure functions: a CustomResourceDefinition becomes Kinds, a structural schema rules on objects."""
