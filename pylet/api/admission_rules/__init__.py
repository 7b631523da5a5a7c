"""What admission webhooks and policies must look like; imported when one is written.

Expressions are checked for being there, not yet compiled. Source: pkg/apis/admissionregistration/validation.
"""
