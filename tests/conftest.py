"""Registers the plugin of fixtures."""

pytest_plugins = ("tests.plugin",)
