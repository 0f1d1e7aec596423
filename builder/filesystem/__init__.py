"""Trees on disk, safely: entries, walking, resolving beneath a root."""
