"""Hostile bytes for everything that reads what others wrote: targets for atheris, replayed without it by pytest."""
