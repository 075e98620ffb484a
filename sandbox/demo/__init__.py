"""Seven payments that end in seven ways, on the running engine, and the books afterwards."""
