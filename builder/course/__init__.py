"""The course: lessons that are Markdown, read, written out and shown as pages."""
