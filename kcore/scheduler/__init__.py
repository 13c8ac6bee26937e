"""Where pods go: the engine, its state and its plugins. Pure: no clock, no chance, no I/O."""
