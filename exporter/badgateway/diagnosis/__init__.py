"""Evidence → cause and risks.

Pure and deterministic: the same evidence gives the same verdict. ``evidence.py`` says what is
looked at, ``rules.py`` what is concluded, as a table; ``risks.py`` what is only waiting to happen.
"""
