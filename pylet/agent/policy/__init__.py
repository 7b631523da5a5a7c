"""NetworkPolicy: which connections the pods of this node may have.

model (policies and pods, pure) → ruleset (rules, and the elements that each pod adds to sets, pure), driven by loop.
"""
