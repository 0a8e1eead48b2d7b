"""Files that are no shell text and hold a launch of SGLang: each format is recognised for what it is, then read or
refused by its name. Nothing that is read is ever executed.
"""
