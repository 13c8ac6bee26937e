"""Orders of a simulated queue, written to be obvious: pods and nodes one at a time, everything found anew at every event."""
