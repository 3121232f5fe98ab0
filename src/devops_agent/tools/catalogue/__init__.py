"""One module per thing. The registry finds every function marked with `probe` or `change`."""
