"""`python -m builder` is `pybuild`."""

from builder.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
