"""What a project declares, what its virtualenv holds, and whether its next start would work.

Everything here reads files. Nothing of the project or its virtualenv is imported or run.
"""
