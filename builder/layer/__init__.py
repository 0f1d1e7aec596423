"""Trees and selections in, layer tars out, and back: whiteouts, index, merged view, compression."""
