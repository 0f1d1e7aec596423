"""What COPY and ADD read: directories, archives, git, URLs; ignore files; selections."""
