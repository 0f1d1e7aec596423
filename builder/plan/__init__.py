"""AST in, DAG of steps with image configs and history out. Pure: base images come through a protocol."""
