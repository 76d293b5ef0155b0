"""A sample whose setting is called like the choice itself."""

from raykg.config.schema import config


@config
class Config:
    name: str = ""
