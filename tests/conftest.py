"""What holds for the whole suite."""

from hypothesis import settings

# A deadline for one example says more about the machine than about the code.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
