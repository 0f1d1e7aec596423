"""What a build is: from a request through plan, solution and image to its outputs, and all that is asked about one."""
