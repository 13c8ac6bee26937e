"""Which fields an object has, which differ between two of them, and who may keep them: the core of managedFields."""
