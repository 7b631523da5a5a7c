"""Objects that `kubectl create KIND NAME` makes of its flags: pure builders, grouped by what they are about.

Each module declares `MAKERS`. Source: kubectl `pkg/cmd/create`.
"""
