"""One file per engine, each declaring `DRIVER`."""
