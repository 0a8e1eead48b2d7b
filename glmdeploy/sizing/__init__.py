"""How much memory, money and time a deployment takes. Pure functions of data; only `checkpoint` does IO."""
