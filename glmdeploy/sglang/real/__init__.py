"""The real SGLang, asked: its code from the published wheel, on a machine without a GPU."""
