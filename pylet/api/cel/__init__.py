"""CEL, the Common Expression Language, as Kubernetes v1.36 runs it: parsed, type-checked, and compiled to closures.

Use it through `environment` (admission policies, match conditions, device selectors) and `rules` (a CRD's
`x-kubernetes-validations`). Nothing here does I/O, and nothing is imported before the first expression is seen.
"""
