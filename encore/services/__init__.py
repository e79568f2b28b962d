"""Use cases: the only callers of `store.write()` and of the provider."""
