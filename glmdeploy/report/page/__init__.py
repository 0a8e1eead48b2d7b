"""One self-contained HTML page, or a short Markdown text, about a profile: what it deploys, takes and costs."""
