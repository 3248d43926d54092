"""One page model and the renderers that turn it into Markdown and HTML."""
