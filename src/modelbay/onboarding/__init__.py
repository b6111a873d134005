"""Adding providers and models, for every face: what was given, what is asked for, what there is, what is written."""
