"""What SGLang decides by itself: trees that were learnt from recordings of its resolution (:mod:`trees`), and for one
class rows that were read in its source (:mod:`table`).
"""
