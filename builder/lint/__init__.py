"""The build checks: findings about a Dockerfile that is well formed but unwise. Pure."""
