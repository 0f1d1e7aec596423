"""Images: manifest and config loaded, chosen by platform, assembled, listed, validated."""
