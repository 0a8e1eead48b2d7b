"""SGLang's command line as data: one option catalog per release, and the parser built from it."""
