"""The process map from the store to HTTP: the histories of all cases, the question, the answer as JSON and as a picture."""
