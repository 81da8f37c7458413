"""The schema of params.yaml: one module a section, so that a new knob makes stale only the stages that know it.

Nothing here imports more than pydantic, so that the whole file is checked in milliseconds, without torch.
"""
