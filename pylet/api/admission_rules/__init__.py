"""What admission webhooks and policies must look like; imported when one is written.

Source: pkg/apis/admissionregistration/validation.
"""
