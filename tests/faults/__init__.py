"""The fault suite: a module for each kind of fault, and the workspace that is broken. `python tests/faults`
runs it.
"""
