"""What claims of devices, their classes and slices must look like; imported when one is written.

CEL selectors are checked for their length, not yet compiled. Source: pkg/apis/resource/validation.
"""
