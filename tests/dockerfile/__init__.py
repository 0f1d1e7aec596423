"""The reader of Dockerfiles: grammar, statements, words, checks."""
