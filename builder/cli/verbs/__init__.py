"""The verbs of the command line, one module each or a close family: argv → values → engine → display."""
