"""SGLang as data: the options of each release and their parser, what it decides by itself, the models that it runs, and
what other engines call the same.
"""
