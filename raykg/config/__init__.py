"""Typed configuration: frozen dataclasses, plain YAML, dotted overrides, one strict loader.

A room declares its section with `raykg.config.schema.config`, a job loads it with `raykg.config.load.load`. Nothing here imports torch, Ray
or NumPy, and nothing outside sees pydantic.
"""
