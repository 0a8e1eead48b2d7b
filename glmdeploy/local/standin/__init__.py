"""The stand-in engine: SGLang's command line and HTTP endpoints, with canned answers in place of a model.

It always says what it is: in its log, in the ``Server`` header, in the objects that it returns and in the
text that it generates. Where it cannot do what SGLang does it refuses; it never pretends. What it imitates
was read in SGLang 0.5.10 and 0.5.23.
"""
