"""Real processes of a cluster, killed and stopped amid a rollout."""
