"""The sections of params.yaml: one module and one pydantic model each.

Nothing here imports more than pydantic, so that the whole file is checked in milliseconds, without torch. No
key has a default: DVC tracks every value through the stages' `params`.
"""
