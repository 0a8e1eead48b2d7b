"""What SGLang decides by itself: rows of data in the order of its own resolution (:mod:`table`)."""
