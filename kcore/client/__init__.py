"""How others see the cluster: clients in this process and over HTTP."""
