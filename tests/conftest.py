"""Fixtures for every test."""

from hypothesis import settings

pytest_plugins = ["tests.database"]

# How long an example takes says how busy the machine is; what is quick is measured in bench/.
settings.register_profile("sonomyo", deadline=None)
settings.load_profile("sonomyo")
