"""What can befall a site: one file for each story, in the form of tests/lab/scenario.py."""
