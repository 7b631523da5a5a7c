"""Encryption at rest: between the registry, which reads and writes JSON, and the store, which keeps bytes.

What is kept, and what only has to be readable, is told by a configuration as kube-apiserver has one (`configuration`);
pylet's own (`own_keys`) is the same with keys it makes itself. Imported by a server that encrypts, and by no other.
"""
