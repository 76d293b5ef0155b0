"""Prefix, a sample that needs a setting and has no single public class."""

from raykg.config.schema import Text, config


@config
class Config:
    text: Text


class One:
    pass


class Two:
    pass
