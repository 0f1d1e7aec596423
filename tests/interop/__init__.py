"""Images that pybuild made, in the hands of the programs that people use them with."""
