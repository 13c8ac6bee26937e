"""Real processes on loopback under load and real faults; their clients' histories are judged."""
