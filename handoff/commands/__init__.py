"""The commands, one file each: a function whose signature is what can be typed, and whose docstring is its help."""
