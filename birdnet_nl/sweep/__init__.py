"""Many runs as one: which jobs there are, what has become of each, and going on after anything that stopped them.

Everything is told by small files in the runs' own folders, so nothing can be lost that was not a run.
"""
