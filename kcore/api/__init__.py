"""What an object is: typed views of the Kubernetes objects, quantities, selectors, errors. Pure."""
