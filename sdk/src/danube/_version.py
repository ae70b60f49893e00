"""The version of the SDK, sent with the first call."""

__version__ = "0.1.0"
