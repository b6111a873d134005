"""Documents that describe providers: manifests and registries."""
