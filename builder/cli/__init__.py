"""The door: argv in, text and exit codes out. The only room that prints or exits."""
